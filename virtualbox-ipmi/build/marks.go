package build

import (
	"context"

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

// ReadMarks reads them.
func ReadMarks(ctx context.Context, vm *vbox.Manager, uuid string) (Marks, error) {
	kept, err := vm.AllExtraData(ctx, uuid)
	if err != nil {
		return Marks{}, vbox.Wire(err)
	}
	return Marks{Owner: kept[KeyOwner], Machine: kept[KeyMachine], Done: kept[KeyStage] == stageDone, Empty: len(kept) == 0}, nil
}
