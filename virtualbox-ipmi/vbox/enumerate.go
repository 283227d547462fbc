package vbox

import (
	"context"
	"regexp"
)

// keptLine is a line of getextradata enumerate.
var keptLine = regexp.MustCompile(`(?m)^Key: (\S+), Value: (.*?)\r?$`)

// ParseAllExtraData reads what getextradata enumerate printed. Of a key that comes
// twice the first counts, so that a value of several lines cannot replace it.
func ParseAllExtraData(out []byte) map[string]string {
	all := map[string]string{}
	for _, m := range keptLine.FindAllSubmatch(out, maxFields) {
		if _, have := all[string(m[1])]; !have {
			all[string(m[1])] = string(m[2])
		}
	}
	return all
}

// AllExtraData reads everything that is kept with a virtual machine.
func (m *Manager) AllExtraData(ctx context.Context, vm string) (map[string]string, error) {
	out, err := m.Run(ctx, "getextradata", vm, "enumerate")
	if err != nil {
		return nil, err
	}
	return ParseAllExtraData(out), nil
}
