package build

import (
	"context"
	"regexp"

	"provision-plugins/virtualbox-ipmi/vbox"
)

// The extradata keys of the marks.
const (
	KeyOwner   = "drp/made-by"      // the plugin
	KeyMachine = "drp/made-machine" // the endpoint's machine
	KeyStage   = "drp/made"         // stageBegun or stageDone
)

// The values of KeyStage.
const (
	stageBegun = "begun"
	stageDone  = "done"
)

// Marks are what is kept with a VM of who made it.
type Marks struct {
	Owner, Machine string
	// Done tells that it was made to the end.
	Done bool
	// Empty tells that nothing at all is kept with the VM.
	Empty bool
}

// markLine is a line of getextradata enumerate.
var markLine = regexp.MustCompile(`(?m)^Key: (\S+), Value: (.*?)\r?$`)

// ReadMarks reads them.
func ReadMarks(ctx context.Context, vm *vbox.Manager, uuid string) (Marks, error) {
	out, err := vm.Run(ctx, "getextradata", uuid, "enumerate")
	if err != nil {
		return Marks{}, vbox.Wire(err)
	}
	marks := Marks{Empty: true}
	stage := ""
	into := map[string]*string{KeyOwner: &marks.Owner, KeyMachine: &marks.Machine, KeyStage: &stage}
	for _, m := range markLine.FindAllSubmatch(out, -1) {
		marks.Empty = false
		if v := into[string(m[1])]; v != nil && *v == "" {
			*v = string(m[2])
		}
	}
	marks.Done = stage == stageDone
	return marks, nil
}
