package vbox

import (
	"context"
	"regexp"
	"strings"
)

// VM is one line of a list.
type VM struct {
	Name string // "" for an inaccessible one
	UUID string // lower case
	// Inaccessible tells that VirtualBox cannot read its settings.
	Inaccessible bool
}

var (
	listLine = regexp.MustCompile(`(?m)^"(.*)" \{([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})\}\r?$`)
	uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// isUUID reports whether s is a UUID rather than a name.
func isUUID(s string) bool { return uuidForm.MatchString(s) }

// ParseList reads what list vms or list runningvms printed. What is no such
// line is passed over.
func ParseList(out []byte) []VM {
	var all []VM
	for _, m := range listLine.FindAllSubmatch(out, -1) {
		vm := VM{Name: string(m[1]), UUID: strings.ToLower(string(m[2]))}
		if vm.Name == "<inaccessible>" {
			vm.Name, vm.Inaccessible = "", true
		}
		all = append(all, vm)
	}
	return all
}

// List lists the user's virtual machines.
func (m *Manager) List(ctx context.Context) ([]VM, error) {
	out, err := m.Run(ctx, "list", "vms")
	return ParseList(out), err
}

// Running lists those that run or are paused. One in guru meditation is not
// among them.
func (m *Manager) Running(ctx context.Context) ([]VM, error) {
	out, err := m.Run(ctx, "list", "runningvms")
	return ParseList(out), err
}
