package content

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// Target is where and how a bundle is written as a directory.
type Target struct {
	// Dir is the directory; it is made if there is none.
	Dir string
	// YAML writes objects as .yaml files; the default is .json.
	YAML bool
	// Force replaces files that are there already; the default is to refuse and
	// write nothing.
	Force bool
}

// The modes of what Unbundle makes, as the reference's are.
const (
	modeFile = fs.FileMode(0o640)
	modeDir  = fs.FileMode(0o750)
)

// Unbundle writes a bundle in the directory format, from which Load makes the
// same bundle again: a file for each metadata field that is set, a folder for
// each section, in it a file for each object, named after its key with a point
// for each slash. Objects are filled, and name their bundle. A template that
// has only its text is written as that text. Nothing is written outside the
// directory, not through symbolic links either.
func Unbundle(ctx context.Context, c *model.Content, t Target) error {
	tree, err := plant(c, t.YAML)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.Dir, modeDir); err != nil {
		return model.Errorf(model.Internal, "cannot unbundle %s: %w", c.Meta.Name, err)
	}
	root, err := os.OpenRoot(t.Dir)
	if err != nil {
		return model.Errorf(model.Internal, "cannot unbundle %s: %w", c.Meta.Name, err)
	}
	w := &treeWriter{root: root, target: t, name: c.Meta.Name}
	return errors.Join(w.write(ctx, tree), root.Close())
}

// treeFolder is one folder of a directory; the first has no name and is the
// directory itself.
type treeFolder struct {
	name  string
	files []treeFile
}

// treeFile is one file of a folder.
type treeFile struct {
	name string
	text []byte
}

// plant makes the files of a bundle, in a fixed order.
func plant(c *model.Content, asYAML bool) ([]treeFolder, error) {
	if problems := bundle.Check(c); len(problems) > 0 {
		return nil, bundle.Refusal(problems)
	}
	top := treeFolder{}
	for _, name := range bundle.MetaFields() {
		if value := bundle.GetMeta(&c.Meta, name); value != "" {
			top.files = append(top.files, treeFile{metaFile(name), []byte(value + "\n")})
		}
	}
	tree := []treeFolder{top}
	var problems []string
	for _, section := range slices.Sorted(maps.Keys(c.Sections)) {
		folder := treeFolder{name: section}
		objects := c.Sections[section]
		owner := map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			file, err := plantObject(section, key, c.Meta.Name, objects[key], asYAML)
			if err != nil {
				return nil, model.Errorf(model.Invalid, "cannot unbundle %s/%s: %w", section, key, err)
			}
			if other, ok := owner[file.name]; ok {
				problems = append(problems, fmt.Sprintf("%s/%s and %s/%s would both be written to %s/%s", section, other, section, key, section, file.name))
				continue
			}
			owner[file.name] = key
			folder.files = append(folder.files, file)
		}
		tree = append(tree, folder)
	}
	if len(problems) > 0 {
		return nil, bundle.Refusal(problems)
	}
	return tree, nil
}

// plantObject makes the file of one object.
func plantObject(section, key, name string, obj map[string]any, asYAML bool) (treeFile, error) {
	base := strings.ReplaceAll(key, "/", ".")
	if text, ok := rawTemplate(section, key, name, obj); ok {
		return treeFile{base, []byte(text)}, nil
	}
	if bundle.HasBundle(section) && obj["Bundle"] == "" {
		obj = maps.Clone(obj)
		obj["Bundle"] = name
	}
	if asYAML {
		text, err := bundle.MarshalYAML(obj)
		return treeFile{base + ".yaml", text}, err
	}
	line, err := model.Marshal(obj)
	if err != nil {
		return treeFile{}, err
	}
	var text bytes.Buffer
	err = json.Indent(&text, append(line, '\n'), "", "  ")
	return treeFile{base + ".json", text.Bytes()}, err
}

// rawTemplate returns the text of a template that has nothing else, and whose
// name does not look like that of an object's file.
func rawTemplate(section, key, name string, obj map[string]any) (string, bool) {
	if section != "templates" || slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(key)) {
		return "", false
	}
	plain := map[string]any{"ID": key, "Contents": obj["Contents"]}
	if obj["Bundle"] == name {
		plain["Bundle"] = name
	}
	bundle.Complete(section, plain, false)
	one, err := model.Marshal(plain)
	if err != nil {
		return "", false
	}
	other, err := model.Marshal(obj)
	if err != nil || !bytes.Equal(one, other) {
		return "", false
	}
	text, ok := obj["Contents"].(string)
	return text, ok
}

// treeWriter writes files below a directory.
type treeWriter struct {
	root   *os.Root
	target Target
	name   string // of the bundle
}

// write writes everything, or nothing if a file is in the way.
func (w *treeWriter) write(ctx context.Context, tree []treeFolder) error {
	var problems []string
	for _, folder := range tree {
		problems = append(problems, w.inTheWay(folder)...)
	}
	if len(problems) > 0 {
		return bundle.Refusal(problems)
	}
	for _, folder := range tree {
		if err := w.folder(ctx, folder); err != nil {
			return err
		}
	}
	return nil
}

// inTheWay finds what cannot be written over: files unless forced, and what is
// no file, or no folder, always.
func (w *treeWriter) inTheWay(folder treeFolder) []string {
	info, err := w.root.Stat(path.Join(".", folder.name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// A dangling link is in the way too.
		if _, err := w.root.Lstat(folder.name); err != nil {
			return nil
		}
		return []string{w.path(folder.name) + ": not a folder, and in the way of one"}
	case err != nil:
		return []string{fmt.Sprintf("%s: cannot write there: %v", w.path(folder.name), cause(err))}
	case !info.IsDir():
		return []string{w.path(folder.name) + ": not a folder, and in the way of one"}
	}
	var problems []string
	for _, file := range folder.files {
		name := path.Join(folder.name, file.name)
		info, err := w.root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			problems = append(problems, fmt.Sprintf("%s: cannot write there: %v", w.path(name), cause(err)))
		case info.IsDir():
			problems = append(problems, w.path(name)+": a folder, and in the way of a file")
		case !w.target.Force:
			problems = append(problems, w.path(name)+": is there already (--force replaces it)")
		}
	}
	return problems
}

// folder writes one folder.
func (w *treeWriter) folder(ctx context.Context, folder treeFolder) (err error) {
	if folder.name != "" {
		if err := w.root.Mkdir(folder.name, modeDir); err != nil && !errors.Is(err, fs.ErrExist) {
			return w.failed(folder.name, err)
		}
	}
	root, err := w.root.OpenRoot(path.Join(".", folder.name))
	if err != nil {
		return w.failed(folder.name, err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for _, file := range folder.files {
		if err := ctx.Err(); err != nil {
			return model.Errorf(model.Timeout, "cannot unbundle %s: %w", w.name, err)
		}
		err := writeNew(root, file.name, file.text)
		if errors.Is(err, fs.ErrExist) && w.target.Force {
			err = writeOver(root, file)
		}
		if err != nil {
			return w.failed(path.Join(folder.name, file.name), err)
		}
	}
	return nil
}

// writeNew writes a file that must not be there yet; a link in its place is not
// followed.
func writeNew(root *os.Root, name string, text []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeFile)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// writeOver writes a file beside its place and moves it there, so that a link
// in its place is replaced, and no reader sees half of it.
func writeOver(root *os.Root, file treeFile) error {
	tmp := fmt.Sprintf(".tmp-%d-%.200s", os.Getpid(), file.name)
	err := writeNew(root, tmp, file.text)
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if err == nil {
		err = root.Rename(tmp, file.name)
	}
	if err != nil {
		err = errors.Join(err, root.Remove(tmp))
	}
	return err
}

// failed is the error of one file.
func (w *treeWriter) failed(file string, err error) error {
	return model.Errorf(model.Internal, "cannot write %s: %w", w.path(file), cause(err))
}

// path is a file's name for messages.
func (w *treeWriter) path(file string) string {
	return filepath.Join(w.target.Dir, filepath.FromSlash(file))
}

// cause takes the operation and the path from an error of the file system.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
