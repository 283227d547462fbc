package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"provision-plugins/shared/client"
	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// paramFlags are the params a command line gives, before they are read.
type paramFlags struct {
	values []string // k=v
	files  []string // k=FILE
}

// addFlags adds the flags that give params.
func (f *paramFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.values, "param", nil, "param `k=v` (may be repeated)")
	fs.StringArrayVar(&f.files, "param-file", nil, "param `k=FILE` with the value in a file, for secrets; - is stdin")
}

// read reads the params. A value that is secret is taken from a file only: a
// command line is seen by every user of the host.
func (f *paramFlags) read(ctx context.Context, a *app, c *client.Client) (model.Params, error) {
	params := model.Params{}
	for _, text := range f.values {
		name, value, err := cut(text, "k=v")
		if err != nil {
			return nil, err
		}
		decl, err := declared(ctx, c, name)
		if err != nil {
			return nil, err
		}
		if decl.Secure || model.SecretName(name) {
			return nil, usage("param %s is secret and cannot stand on a command line; give --param-file %s=FILE", name, name)
		}
		if err := setParam(params, name, parseValue(decl, value)); err != nil {
			return nil, err
		}
	}
	for _, text := range f.files {
		name, file, err := cut(text, "k=FILE")
		if err != nil {
			return nil, err
		}
		decl, err := declared(ctx, c, name)
		if err != nil {
			return nil, err
		}
		value, err := a.readSecret(file)
		if err != nil {
			return nil, usage("param %s: %w", name, err)
		}
		var typed any = value
		if !decl.Secure && !model.SecretName(name) {
			typed = parseValue(decl, value)
		}
		if err := setParam(params, name, typed); err != nil {
			return nil, err
		}
	}
	return params, nil
}

// setParam sets a param that is not yet set.
func setParam(params model.Params, name string, value any) error {
	if _, twice := params[name]; twice {
		return usage("param %s is given twice", name)
	}
	params[name] = value
	return nil
}

// cut splits k=v.
func cut(text, form string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		// What stands here may be a secret: only its beginning is repeated.
		return "", "", usage("param %q... is not %s", text[:min(len(text), 4)], form)
	}
	return name, value, nil
}

// declared is the endpoint's declaration of a param; an empty one if it has
// none.
func declared(ctx context.Context, c *client.Client, name string) (*model.Param, error) {
	decl, err := c.Params().Get(ctx, name)
	if err != nil && model.KindOf(err) == model.NotFound {
		return &model.Param{}, nil
	}
	return decl, err
}

// parseValue reads a value: text if the declaration wants text, else JSON if
// it is JSON, else text.
func parseValue(decl *model.Param, text string) any {
	var schema struct{ Type any }
	// A schema of another form wants nothing in particular.
	if err := model.Remarshal(decl.Schema, &schema); err == nil && schema.Type == "string" {
		return text
	}
	var value any
	if strings.TrimSpace(text) == "" || model.Unmarshal([]byte(text), &value) != nil {
		return text
	}
	return value
}

// readSecret reads a secret from a file, or from stdin if it is called "-".
func (a *app) readSecret(file string) (string, error) {
	if file == "" {
		return "", errors.New("no file is named")
	}
	if file != "-" {
		return inventory.ReadSecret(file)
	}
	secret, err := inventory.TrimSecret(a.stdin)
	if err != nil {
		return "", errors.New("cannot read the secret from stdin: " + err.Error())
	}
	return secret, nil
}

// readStdin reads all of stdin, up to a bound.
func (a *app) readStdin(limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(a.stdin, limit+1))
	switch {
	case err != nil:
		return nil, usage("cannot read stdin: %w", err)
	case int64(len(raw)) > limit:
		return nil, usage("cannot read stdin: larger than %d MiB", limit>>20)
	}
	return raw, nil
}
