package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"provision-plugins/shared/model"
	"provision-plugins/tools/mutants"
)

// sabotage is a way to break the suite that a check must notice.
type sabotage struct {
	name  string // also the name of its patch in tools/mutants
	pkg   string // the plugin that is built with the patch
	check string // the check that must fail
}

var sabotages = []sabotage{
	{"drop-slack-post", "slack", checkSlackRuns},
	{"cycle-twice", "ipmi", checkCycledOnce},
	{"report-off-as-on", "ipmi", checkVerifiedIsTrue},
	{"skip-read-back", "ipmi", checkVerifiedIsTrue},
}

// errSabotage marks a patch that does not apply or build.
var errSabotage = errors.New("sabotage does not work")

// findSabotage looks a name up; an empty name is no sabotage.
func findSabotage(name string) (sabotage, error) {
	if name == "" {
		return sabotage{}, nil
	}
	var names []string
	for _, s := range sabotages {
		if s.name == name {
			return s, nil
		}
		names = append(names, s.name)
	}
	return sabotage{}, model.Errorf(model.Invalid, "no sabotage %q; there are %v", name, names)
}

// build puts the broken plugin in place of the good one.
func (s sabotage) build(ctx context.Context, scratch, pluginDir string) error {
	if s.name == "" {
		return nil
	}
	p, err := mutants.Load(".", s.name)
	if err == nil {
		err = p.Build(ctx, ".", scratch, s.pkg, filepath.Join(pluginDir, s.pkg))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errSabotage, err)
	}
	return nil
}
