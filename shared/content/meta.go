package content

import (
	"bytes"
	"strings"

	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// Metadata files are called ._Field.meta.
const (
	metaPrefix = "._"
	metaSuffix = ".meta"
)

// knownField is a metadata file of ours, which the reference passes over: the
// list of objects of other layers that this bundle refers to.
const knownField = "Known"

// metaFile is the name of a field's file.
func metaFile(field string) string { return metaPrefix + field + metaSuffix }

// meta reads a top-level file if it is a metadata file; others are not part of
// the format.
func (l *loader) meta(file string) {
	field, ok := strings.CutPrefix(file, metaPrefix)
	if !ok {
		return
	}
	field, ok = strings.CutSuffix(field, metaSuffix)
	if !ok {
		return
	}
	isKnown := field == knownField
	if !isKnown && !bundle.SetMeta(&model.ContentMeta{}, field, "") {
		return
	}
	text, ok := l.read(file)
	if !ok {
		return
	}
	if err := bundle.CheckText(text); err != nil {
		l.refuse(file, err)
		return
	}
	if isKnown {
		l.readKnown(file, text)
		return
	}
	bundle.SetMeta(&l.content.Meta, field, strings.TrimSpace(string(text)))
}

// overlay sets in m every field that over has.
func overlay(m *model.ContentMeta, over model.ContentMeta) {
	for _, name := range bundle.MetaFields() {
		if v := bundle.GetMeta(&over, name); v != "" {
			bundle.SetMeta(m, name, v)
		}
	}
}

// fieldLine returns the line on which a file sets a top-level field, or 0.
func fieldLine(text []byte, field string) int {
	if field == "" {
		return 0
	}
	quoted := []byte(`"` + field + `"`)
	plain := []byte(field)
	for n, line := range bytes.Split(text, []byte("\n")) {
		for _, name := range [][]byte{plain, quoted} {
			rest, ok := bytes.CutPrefix(bytes.TrimLeft(line, "{ \t"), name)
			if ok && bytes.HasPrefix(bytes.TrimLeft(rest, " \t"), []byte(":")) {
				return n + 1
			}
		}
	}
	return 0
}

// nameLine returns the line of an object's name, or 0.
func nameLine(text []byte) int {
	for _, field := range []string{"Name", "ID", "Id"} {
		if n := fieldLine(text, field); n > 0 {
			return n
		}
	}
	return 0
}
