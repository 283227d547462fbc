// Package config reads the configuration file of the command line: which
// endpoint to speak to, and the defaults of some flags.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v2"

	"provision-plugins/shared/model"
)

// maxFile bounds a configuration file.
const maxFile = 1 << 20

// File is what a configuration file says; what it does not say is empty.
type File struct {
	Path        string // of the file; empty if there is none
	Socket      string
	Endpoint    string
	Token       string
	TokenFile   string
	CAFile      string
	Fingerprint string
	// Defaults are the values of flags by their names, as text.
	Defaults map[string]string
}

// form is the file as YAML. Values may be written as numbers, too.
type form struct {
	Socket      any `yaml:"socket"`
	Endpoint    any `yaml:"endpoint"`
	Token       any `yaml:"token"`
	TokenFile   any `yaml:"token-file"`
	CAFile      any `yaml:"ca-file"`
	Fingerprint any `yaml:"fingerprint"`
	Defaults    struct {
		Parallel    any `yaml:"parallel"`
		Timeout     any `yaml:"timeout"`
		Batch       any `yaml:"batch"`
		Pause       any `yaml:"pause"`
		MaxFailures any `yaml:"max-failures"`
	} `yaml:"defaults"`
}

// Path is where the file is looked for: where $OOB_CONFIG says, else
// oob/config.yaml in $XDG_CONFIG_HOME or ~/.config; named tells that the file was
// asked for by name. It is empty where there is no home.
func Path(getenv func(string) string) (path string, named bool) {
	if path := getenv("OOB_CONFIG"); path != "" {
		return path, true
	}
	dir := getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home := getenv("HOME")
		if !filepath.IsAbs(home) {
			return "", false
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "oob", "config.yaml"), false
}

// Load reads the file that the environment asks for. A file that is not there
// says nothing, unless it was asked for by name.
func Load(getenv func(string) string) (*File, error) {
	path, named := Path(getenv)
	if path == "" {
		return &File{}, nil
	}
	f, err := read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return &File{}, nil
	case err != nil:
		var e *fs.PathError
		if errors.As(err, &e) {
			err = e.Err
		}
		return nil, model.Errorf(model.Invalid, "cannot use configuration file %s: %w", path, err)
	}
	return f, nil
}

// read reads and checks a file.
func read(path string) (*File, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > maxFile:
		return nil, fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	f, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	if perm := info.Mode().Perm(); f.Token != "" && perm&0o077 != 0 {
		return nil, fmt.Errorf("it holds a token and its mode is %04o: chmod 0600 it, or name a token-file", perm)
	}
	f.Path = path
	for _, p := range []*string{&f.Socket, &f.TokenFile, &f.CAFile} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return f, nil
}

// Parse reads the text of a file. Its errors name lines, and no values: one may
// be a token.
func Parse(raw []byte) (*File, error) {
	var in form
	if err := yaml.UnmarshalStrict(raw, &in); err != nil {
		return nil, yamlError(err)
	}
	f := &File{Defaults: map[string]string{}}
	for name, field := range map[string]*string{
		"Socket": &f.Socket, "Endpoint": &f.Endpoint, "Token": &f.Token,
		"TokenFile": &f.TokenFile, "CAFile": &f.CAFile, "Fingerprint": &f.Fingerprint,
	} {
		text, err := scalar(reflect.ValueOf(in), name)
		if err != nil {
			return nil, err
		}
		*field = text
	}
	defaults := reflect.ValueOf(in.Defaults)
	for i := range defaults.NumField() {
		text, err := scalar(defaults, defaults.Type().Field(i).Name)
		if err != nil {
			return nil, err
		}
		if text != "" {
			f.Defaults[keyOf(defaults.Type().Field(i))] = text
		}
	}
	switch {
	case f.Socket != "" && f.Endpoint != "":
		return nil, errors.New("socket and endpoint exclude each other")
	case f.Token != "" && f.TokenFile != "":
		return nil, errors.New("token and token-file exclude each other")
	}
	return f, nil
}

// scalar is the text of a field.
func scalar(of reflect.Value, name string) (string, error) {
	field, _ := of.Type().FieldByName(name)
	switch v := of.FieldByName(name).Interface().(type) {
	case nil:
		return "", nil
	case string:
		return strings.TrimSpace(v), nil
	case int, int64, uint64, float64, bool:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("%s must be one value", keyOf(field))
}

// keyOf is a field's key in the file.
func keyOf(field reflect.StructField) string { return field.Tag.Get("yaml") }

// Keys lists the keys that a file may have: those at its top, and those below
// defaults.
func Keys() (top, defaults []string) {
	t := reflect.TypeFor[form]()
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Type.Kind() != reflect.Struct {
			top = append(top, keyOf(field))
			continue
		}
		for j := range field.Type.NumField() {
			defaults = append(defaults, keyOf(field.Type.Field(j)))
		}
	}
	return top, defaults
}

var (
	unknownKey = regexp.MustCompile(`line (\d+): field (.+) not found in (type|struct) `)
	twice      = regexp.MustCompile(`line (\d+): field (.+) already set in type`)
	yamlPlace  = regexp.MustCompile(`line (\d+): (cannot unmarshal|[a-z ]+)`)
)

// yamlError is the first error of a file on one line, without what it found.
func yamlError(err error) error {
	text := err.Error()
	if m := unknownKey.FindStringSubmatch(text); m != nil {
		top, defaults := Keys()
		return fmt.Errorf("line %s: %q is not a setting; there are %s, and below defaults %s",
			m[1], m[2], strings.Join(top, ", "), strings.Join(defaults, ", "))
	}
	if m := twice.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("line %s: %q is set already", m[1], m[2])
	}
	if m := yamlPlace.FindStringSubmatch(text); m != nil {
		if strings.HasPrefix(m[2], "cannot") {
			return fmt.Errorf("line %s: not settings of the form KEY: VALUE", m[1])
		}
		return fmt.Errorf("line %s: %s", m[1], strings.TrimSpace(m[2]))
	}
	return errors.New("it is not YAML")
}
