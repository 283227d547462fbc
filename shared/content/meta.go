package content

import (
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
