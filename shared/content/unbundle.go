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

// treeFiles is a bundle as a directory.
type treeFiles struct {
	folders []string
	files   []treeFile
}

// treeFile is one file of a directory; its path has slashes.
type treeFile struct {
	path string
	text []byte
}

// plant makes the files of a bundle, in a fixed order.
func plant(c *model.Content, asYAML bool) (*treeFiles, error) {
	if problems := bundle.Check(c); len(problems) > 0 {
		return nil, bundle.Refusal(problems)
	}
	tree := &treeFiles{}
	for _, name := range bundle.MetaFields() {
		if value := bundle.GetMeta(&c.Meta, name); value != "" {
			tree.files = append(tree.files, treeFile{metaFile(name), []byte(value + "\n")})
		}
	}
	owner := map[string]string{}
	var problems []string
	for _, section := range slices.Sorted(maps.Keys(c.Sections)) {
		tree.folders = append(tree.folders, section)
		objects := c.Sections[section]
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			file, err := plantObject(section, key, c.Meta.Name, objects[key], asYAML)
			if err != nil {
				return nil, model.Errorf(model.Invalid, "cannot unbundle %s/%s: %w", section, key, err)
			}
			if other, ok := owner[file.path]; ok {
				problems = append(problems, fmt.Sprintf("%s and %s/%s would both be written to %s", other, section, key, file.path))
				continue
			}
			owner[file.path] = section + "/" + key
			tree.files = append(tree.files, file)
		}
	}
	if len(problems) > 0 {
		return nil, bundle.Refusal(problems)
	}
	return tree, nil
}

// plantObject makes the file of one object.
func plantObject(section, key, name string, obj map[string]any, asYAML bool) (treeFile, error) {
	base := path.Join(section, strings.ReplaceAll(key, "/", "."))
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
func (w *treeWriter) write(ctx context.Context, tree *treeFiles) error {
	if err := w.refuseExisting(tree); err != nil {
		return err
	}
	for _, folder := range tree.folders {
		if err := w.root.Mkdir(folder, modeDir); err != nil && !errors.Is(err, fs.ErrExist) {
			return w.failed(folder, err)
		}
	}
	for _, file := range tree.files {
		if err := ctx.Err(); err != nil {
			return model.Errorf(model.Timeout, "cannot unbundle %s: %w", w.name, err)
		}
		if err := w.file(file); err != nil {
			return w.failed(file.path, err)
		}
	}
	return nil
}

// refuseExisting refuses what cannot be written over: files unless forced, and
// what is no file, or no folder, always.
func (w *treeWriter) refuseExisting(tree *treeFiles) error {
	var problems []string
	for _, folder := range tree.folders {
		info, err := w.root.Stat(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			problems = append(problems, fmt.Sprintf("%s: cannot write there: %v", w.path(folder), cause(err)))
		case !info.IsDir():
			problems = append(problems, w.path(folder)+": not a folder, and in the way of one")
		}
	}
	if len(problems) > 0 {
		return bundle.Refusal(problems)
	}
	for _, file := range tree.files {
		info, err := w.root.Lstat(file.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			problems = append(problems, fmt.Sprintf("%s: cannot write there: %v", w.path(file.path), cause(err)))
		case info.IsDir():
			problems = append(problems, w.path(file.path)+": a folder, and in the way of a file")
		case !w.target.Force:
			problems = append(problems, w.path(file.path)+": is there already (--force replaces it)")
		}
	}
	if len(problems) > 0 {
		return bundle.Refusal(problems)
	}
	return nil
}

// file writes one file beside its place and moves it there, so that a link in
// its place is replaced and not followed, and no reader sees half of it.
func (w *treeWriter) file(file treeFile) error {
	dir, base := path.Split(file.path)
	tmp := dir + ".tmp-" + fmt.Sprint(os.Getpid()) + "-" + base
	if len(tmp) > len(dir)+maxFileName {
		tmp = tmp[:len(dir)+maxFileName]
	}
	f, err := w.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeFile)
	if err != nil {
		return err
	}
	_, err = f.Write(file.text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = w.root.Rename(tmp, file.path)
	}
	if err != nil {
		err = errors.Join(err, w.root.Remove(tmp))
	}
	return err
}

// maxFileName is how long file systems let a name be, in bytes.
const maxFileName = 255

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
