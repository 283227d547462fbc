package plugin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// targets are the machines that run works on.
type targets struct {
	rows    []inventory.Row
	skipped int // rows of other drivers
}

// flagReader collects the params of the command line.
type flagReader struct {
	program *program
	params  model.Params
	stdin   io.Reader // nil once it is taken
}

// flagParams collects the params of the command line.
func (p *program) flagParams(o *runOptions, stdin io.Reader) (model.Params, error) {
	f := &flagReader{program: p, params: model.Params{}, stdin: stdin}
	if o.targets == "-" {
		f.stdin = nil
	}
	for _, flag := range []struct {
		name  string
		texts []string
		read  func(name, text string) (any, error)
	}{
		{"param", o.params, p.argvValue},
		{"param-file", o.paramFiles, f.fileValue},
		{"param-env", o.paramEnvs, p.envValue},
	} {
		for _, text := range flag.texts {
			if err := f.add(text, flag.read); err != nil {
				return nil, fmt.Errorf("--%s %w", flag.name, err)
			}
		}
	}
	return f.params, nil
}

// add reads one NAME=VALUE.
func (f *flagReader) add(text string, read func(name, text string) (any, error)) error {
	name, text, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("needs NAME=VALUE")
	}
	if f.params.Has(name) {
		return fmt.Errorf("%s: this param is given twice", name)
	}
	v, err := read(name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	f.params[name] = v
	return nil
}

// fileValue reads a value from a file, or from standard input, once.
func (f *flagReader) fileValue(_, file string) (any, error) {
	if file != "-" {
		return inventory.ReadSecret(file)
	}
	if f.stdin == nil {
		return nil, errors.New("standard input is taken already")
	}
	stdin := f.stdin
	f.stdin = nil
	return inventory.TrimSecret(stdin)
}

// argvValue reads a value that stands on the command line. No secret may.
func (p *program) argvValue(name, text string) (any, error) {
	if model.SecretName(name) || p.secure(name) {
		return nil, errors.New("this is a secret, and every user can read the command line; use --param-file, --param-env, or a password-file in the inventory")
	}
	return inventory.ParseValue(name, text), nil
}

// envValue reads a value from the environment. A secret is text, whatever it
// looks like.
func (p *program) envValue(name, variable string) (any, error) {
	text := os.Getenv(variable)
	if text == "" {
		return nil, fmt.Errorf("the environment variable %q is not set", variable)
	}
	if p.secure(name) {
		return text, nil
	}
	return inventory.ParseValue(name, text), nil
}

// targets reads the inventory. Without one the params of the command line are
// the machine.
func (p *program) targets(o *runOptions, params model.Params, stdin io.Reader) (*targets, error) {
	if o.targets == "" {
		return p.singleTarget(params)
	}
	r, dir := stdin, "."
	if o.targets != "-" {
		f, err := os.Open(o.targets)
		if err != nil {
			return nil, fmt.Errorf("cannot read the targets: %w", err)
		}
		defer f.Close()
		r, dir = f, filepath.Dir(o.targets)
	}
	rows, err := inventory.Read(r, dir, p.columns)
	if err != nil {
		return nil, errors.New(model.AsError(err).Text())
	}
	t := p.choose(rows, params)
	if len(t.rows) == 0 {
		return nil, fmt.Errorf("there are no targets: no machine in %s has the driver %s", o.targets, p.def.Name)
	}
	return t, nil
}

// singleTarget is the machine that the params of the command line name.
func (p *program) singleTarget(params model.Params) (*targets, error) {
	if len(params) == 0 {
		return nil, errors.New("there are no targets; give --targets FILE, or the machine's params by --param, --param-file and --param-env")
	}
	columns, err := p.columns("")
	if err != nil {
		return nil, err
	}
	name, err := params.String(columns["address"], p.name)
	if err != nil {
		return nil, errors.New(model.AsError(err).Text())
	}
	return p.choose([]inventory.Row{{Name: name, Params: model.Params{}}}, params), nil
}

// protectedParam is honoured on the machine itself only.
const protectedParam = "oob/protected"

// choose leaves out the rows of other drivers, and lays the params of the
// command line over each machine's own: whoever runs this owns both, so an
// address may come from one and its password from the other.
func (p *program) choose(rows []inventory.Row, params model.Params) *targets {
	t := &targets{rows: rows[:0]}
	for _, row := range rows {
		if row.Driver != "" && row.Driver != p.def.Name {
			t.skipped++
			continue
		}
		for name, v := range params {
			if name != protectedParam {
				row.Params[name] = v
			}
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// foreignColumns lets the rows of another driver be read: what their columns
// mean makes no difference here.
func foreignColumns() inventory.Columns {
	return inventory.Columns{"address": "address", "port": "port", "username": "username", "password": "password"}
}
