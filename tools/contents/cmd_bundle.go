package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/shared/content"
	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// bundleOptions are the flags of bundle.
type bundleOptions struct {
	dir   string
	names bundle.GoNames
}

// newBundleCommand returns the bundle command.
func newBundleCommand() *cobra.Command {
	var o bundleOptions
	cmd := &cobra.Command{
		Use:   "bundle FILE [Meta=Value...]",
		Short: "Bundle a content directory into one file",
		Long: `Bundle reads a content directory (the current one unless --dir says otherwise),
checks it, and writes FILE, whose extension picks the form: .yaml or .yml,
.json, or .go, a Go file that holds the YAML in a variable.

Meta=Value sets a metadata field for which the directory has no ._Meta.meta
file. FILE is replaced only when everything is right; the same directory always
gives the same bytes.

Exit codes: 0 done, 2 the directory or the command line is wrong, 11 FILE
cannot be written.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBundle(cmd.Context(), o, args[0], args[1:])
		},
	}
	cmd.Flags().StringVar(&o.dir, "dir", ".", "directory to read")
	cmd.Flags().StringVar(&o.names.Package, "package", "main", "package of a .go file")
	cmd.Flags().StringVar(&o.names.Variable, "variable", "contentYamlString", "variable of a .go file")
	return cmd
}

// encoder writes a bundle in one form.
type encoder func(io.Writer, *model.Content) error

// runBundle loads the directory and writes the file.
func runBundle(ctx context.Context, o bundleOptions, file string, args []string) error {
	encode, err := encoderFor(file, o.names)
	if err != nil {
		return err
	}
	meta, err := parseMeta(args)
	if err != nil {
		return err
	}
	c, err := content.Load(ctx, content.Source{Dir: o.dir, Meta: meta})
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := encode(&text, c); err != nil {
		return model.Errorf(model.Internal, "%w", err)
	}
	mode := modePrivate
	if filepath.Ext(file) == ".go" {
		mode = modePublic
	}
	return replaceFile(file, text.Bytes(), mode)
}

// encoderFor picks the codec by the file's extension.
func encoderFor(file string, names bundle.GoNames) (encoder, error) {
	switch ext := filepath.Ext(file); ext {
	case ".yaml", ".yml":
		return bundle.EncodeYAML, nil
	case ".json":
		return bundle.EncodeJSON, nil
	case ".go":
		if !token.IsIdentifier(names.Package) || !token.IsIdentifier(names.Variable) {
			return nil, model.Errorf(model.Invalid, "cannot bundle %s: --package and --variable must be Go names", file)
		}
		return func(w io.Writer, c *model.Content) error { return bundle.EncodeGo(w, c, names) }, nil
	default:
		return nil, model.Errorf(model.Invalid, "cannot bundle %s: unknown extension %q (use .yaml, .yml, .json or .go)", file, ext)
	}
}

// parseMeta reads the Meta=Value arguments.
func parseMeta(args []string) (map[string]string, error) {
	meta := make(map[string]string, len(args))
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, model.Errorf(model.Invalid, "cannot read %q: metadata is given as Field=Value", arg)
		}
		meta[name] = value
	}
	return meta, nil
}

// The modes of files: a bundle is its owner's, as with the reference; what goes
// into a repository is everybody's.
const (
	modePrivate = fs.FileMode(0o640)
	modePublic  = fs.FileMode(0o644)
)

// replaceFile writes text beside file and moves it there, so that no reader
// ever sees half of it and a failure leaves the old file.
func replaceFile(file string, text []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".tmp-*")
	if err != nil {
		return model.Errorf(model.Internal, "cannot write %s: %w", file, err)
	}
	err = fillFile(tmp, text, mode)
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err == nil {
		return nil
	}
	if os.Remove(tmp.Name()) != nil {
		err = fmt.Errorf("%w (%s is left behind)", err, tmp.Name())
	}
	return model.Errorf(model.Internal, "cannot write %s: %w", file, err)
}

// fillFile writes, sets the mode and closes.
func fillFile(f *os.File, text []byte, mode fs.FileMode) error {
	_, err := f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	return errors.Join(err, f.Close())
}
