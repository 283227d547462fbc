package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// Bounds of a source directory.
const (
	maxFile  = 4 << 20 // bytes in one file
	maxFiles = 20000
)

// LoadDir reads a bundle from the directory format and checks everything about
// it. The error names the file, and the line where it is known, one message
// for each problem.
func LoadDir(ctx context.Context, dir string) (*model.Content, error) {
	return Load(ctx, Source{Dir: dir})
}

// Source is where a bundle comes from.
type Source struct {
	// Dir is the directory to read.
	Dir string
	// Meta sets metadata fields that the directory has no file for.
	Meta map[string]string
}

// Load is LoadDir with metadata from elsewhere.
func Load(ctx context.Context, src Source) (*model.Content, error) {
	info, err := os.Stat(src.Dir)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot load content: %w", err)
	}
	if !info.IsDir() {
		return nil, model.Errorf(model.Invalid, "cannot load content: %s is not a directory", src.Dir)
	}
	return loadFS(ctx, os.DirFS(src.Dir), src)
}

// LoadFS is LoadDir from a file system; errors call its root dir.
func LoadFS(ctx context.Context, fsys fs.FS, dir string) (*model.Content, error) {
	return loadFS(ctx, fsys, Source{Dir: dir})
}

// loadFS loads and refuses what has problems.
func loadFS(ctx context.Context, fsys fs.FS, src Source) (*model.Content, error) {
	l := newLoader(fsys, src.Dir)
	if err := l.load(ctx, src.Meta); err != nil {
		return nil, err
	}
	if len(l.problems) > 0 {
		return nil, bundle.Refusal(l.problems)
	}
	return l.content, nil
}

// loader reads one directory and gathers what is wrong with it.
type loader struct {
	fsys     fs.FS
	dir      string // for messages
	content  *model.Content
	origin   map[string]source // by section/key
	known    []known
	files    int
	problems []string
}

// source is the file an object came from. Its places are kept, to find the
// lines of problems found later.
type source struct {
	file string
	root *place
}

// newLoader returns a loader of fsys, which messages call dir.
func newLoader(fsys fs.FS, dir string) *loader {
	return &loader{
		fsys:    fsys,
		dir:     dir,
		content: &model.Content{Sections: map[string]map[string]map[string]any{}},
		origin:  map[string]source{},
	}
}

// load reads everything and checks it. Its error is one that stopped it;
// problems of the content are gathered.
func (l *loader) load(ctx context.Context, meta map[string]string) error {
	entries, err := fs.ReadDir(l.fsys, ".")
	if err != nil {
		return model.Errorf(model.Invalid, "cannot load content: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			l.meta(e.Name())
		}
	}
	l.fallback(meta)
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := l.section(ctx, e.Name()); err != nil {
			return err
		}
	}
	l.check()
	return nil
}

// fallback sets the metadata that no file gave, and the default type.
func (l *loader) fallback(meta map[string]string) {
	have := l.content.Meta
	for name, value := range meta {
		if !bundle.SetMeta(&l.content.Meta, name, value) {
			l.problem("", 0, "no metadata field %q: there are %s", name, strings.Join(bundle.MetaFields(), ", "))
		}
	}
	overlay(&l.content.Meta, have)
	if l.content.Meta.Type == "" {
		l.content.Meta.Type = bundle.DefaultType
	}
	for _, p := range bundle.CheckMeta(&l.content.Meta) {
		line := 0
		if bundle.GetMeta(&have, p.Field) != "" {
			line = 1
		}
		l.problem(metaFile(p.Field), line, "%s", p.Text)
	}
}

// section reads the objects of one section.
func (l *loader) section(ctx context.Context, name string) error {
	entries, err := fs.ReadDir(l.fsys, name)
	if err != nil {
		return model.Errorf(model.Invalid, "cannot load content: %w", err)
	}
	if text := bundle.CheckSection(name); text != "" {
		l.problem(name, 0, "%s", text)
		return nil
	}
	l.content.Sections[name] = map[string]map[string]any{}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return model.Errorf(model.Timeout, "cannot load content %s: %w", l.dir, err)
		}
		if l.files++; l.files > maxFiles {
			return model.Errorf(model.Invalid, "cannot load content %s: more than %d files", l.dir, maxFiles)
		}
		l.object(name, path.Join(name, e.Name()))
	}
	return nil
}

// object reads one file of a section.
func (l *loader) object(section, file string) {
	text, ok := l.read(file)
	if !ok {
		return
	}
	obj, root, err := decodeObject(section, file, text)
	if err != nil {
		l.refuse(file, err)
		return
	}
	if traps := findTraps(section, text, root); len(traps) > 0 {
		for _, trap := range traps {
			l.problem(file, trap.line, "%s", trap.text)
		}
		return
	}
	key, problem := bundle.KeyOf(section, obj)
	nameLine := root.at(bundle.KeyField(section, obj))
	if problem != "" {
		l.problem(file, nameLine, "%s", problem)
		return
	}
	id := section + "/" + key
	if first, ok := l.origin[id]; ok {
		l.problem(file, nameLine, "%s is also in %s", id, l.path(first.file))
		return
	}
	// An unbundled object names its bundle, which the folder does anyway.
	if bundle.HasBundle(section) && obj["Bundle"] == l.content.Meta.Name {
		delete(obj, "Bundle")
	}
	l.origin[id] = source{file, root}
	l.content.Sections[section][key] = obj
	for _, p := range bundle.Complete(section, obj, true) {
		l.problem(file, root.at(p.Field), "%s", p.Text)
	}
}

// errExtension is a file that no codec is known for.
var errExtension = errors.New("unknown extension: objects are .yaml, .yml or .json files")

// decodeObject decodes a file by its extension; in templates, a file with any
// other extension is a template's text.
func decodeObject(section, file string, text []byte) (map[string]any, *place, error) {
	var v any
	var root *place
	var err error
	switch ext := path.Ext(file); {
	case ext == ".yaml", ext == ".yml":
		v, root, err = decodeYAML(text)
	case ext == ".json":
		v, root, err = decodeJSON(text)
	case section == "templates":
		return map[string]any{"ID": path.Base(file), "Contents": string(text)}, &place{line: 1}, bundle.CheckText(text)
	default:
		return nil, nil, errExtension
	}
	if err != nil {
		return nil, nil, err
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, nil, &bundle.SyntaxError{Line: root.at(), Text: "not an object: a file holds one object, its fields at the margin"}
	}
	return obj, root, nil
}

// decodeYAML decodes a text with its places.
func decodeYAML(text []byte) (any, *place, error) {
	v, err := bundle.DecodeYAML(text)
	var syntax *bundle.SyntaxError
	if err != nil && (!errors.As(err, &syntax) || syntax.Line > 0) {
		return nil, nil, err
	}
	root := yamlPlaces(text)
	if err == nil && root != nil {
		return v, root, nil
	}
	if root == nil {
		root = &place{}
	}
	// The decoder tells no line of a number that JSON does not have.
	if traps := findTraps("", text, root); err != nil && len(traps) > 0 {
		return nil, nil, &bundle.SyntaxError{Line: traps[0].line, Text: traps[0].text}
	}
	return v, root, err
}

// decodeJSON decodes a text with its places.
func decodeJSON(text []byte) (any, *place, error) {
	v, err := bundle.DecodeJSON(text)
	if err != nil {
		return nil, nil, err
	}
	root, err := jsonPlaces(text)
	if err != nil {
		return nil, nil, err
	}
	return v, root, nil
}

// read reads a file within its bound, or notes why it cannot.
func (l *loader) read(file string) ([]byte, bool) {
	info, err := fs.Stat(l.fsys, file)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	var text []byte
	if err == nil {
		text, err = readBounded(l.fsys, file, maxFile)
	}
	if err != nil {
		l.refuse(file, err)
		return nil, false
	}
	return text, true
}

// readBounded reads a file of at most limit bytes.
func readBounded(fsys fs.FS, file string, limit int64) ([]byte, error) {
	f, err := fsys.Open(file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return text, errors.Join(err, f.Close())
}

// refuse notes an error as a file's problem.
func (l *loader) refuse(file string, err error) {
	var syntax *bundle.SyntaxError
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &syntax):
		l.problem(file, syntax.Line, "%s", syntax.Text)
	case errors.Is(err, bundle.ErrEmpty):
		l.problem(file, 1, "%v", err)
	case errors.As(err, &pathErr):
		l.problem(file, 0, "cannot read it: %v", pathErr.Err)
	default:
		l.problem(file, 0, "%v", err)
	}
}

// problem notes a problem as "file:line: text"; line 0 is not known.
func (l *loader) problem(file string, line int, format string, args ...any) {
	at := l.path(file)
	if line > 0 {
		at = fmt.Sprintf("%s:%d", at, line)
	}
	l.problems = append(l.problems, at+": "+fmt.Sprintf(format, args...))
}

// path is a file's name for messages, on one line whatever it is.
func (l *loader) path(file string) string {
	if strings.ContainsFunc(file, unicode.IsControl) {
		file = strings.Trim(strconv.Quote(file), `"`)
	}
	return filepath.Join(l.dir, filepath.FromSlash(file))
}

// check finds what can only be seen with everything read.
func (l *loader) check() {
	if len(l.problems) > 0 {
		return
	}
	found := findValues(l.content)
	found = append(found, findOpenSecrets(l.content)...)
	found = append(found, l.findDangling()...)
	slices.SortStableFunc(found, func(a, b finding) int {
		return strings.Compare(a.section+"/"+a.key, b.section+"/"+b.key)
	})
	for _, f := range found {
		src := l.origin[f.section+"/"+f.key]
		line := src.root.at(f.field)
		if len(src.root.fields) == 0 {
			line += f.lines // the file is the template's text
		}
		l.problem(src.file, line, "%s", f.text)
	}
}
