package plugin

import (
	"context"
	"fmt"
	"os"

	"provision-plugins/shared/model"
)

// validated is the definition as define prints it: what a Validator returns,
// else the one the plugin was made with.
func (p *program) validated(ctx context.Context) (def *model.PluginProvider, err error) {
	v, ok := p.impl.(Validator)
	if !ok || os.Getenv(EnvToken) == catalogToken {
		return p.def, nil
	}
	c, err := newClient()
	if err != nil {
		return nil, fmt.Errorf("cannot define %s: %w", p.name, err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, p.timing.validateLimit)
	defer cancel()
	defer func() {
		if cause := recover(); cause != nil {
			def, err = nil, fmt.Errorf("cannot define %s: its Validate panicked: %s", p.name, oneLine(fmt.Sprint(cause), 300))
		}
	}()
	found, err := v.Validate(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return p.def, nil
	}
	return complete(found, p.name, p.version), nil
}
