package endpoint

import (
	"errors"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"provision-plugins/shared/model"
)

// maxPatchOps bounds the operations of one patch.
const maxPatchOps = 1_000

// applyPatch applies a JSON patch (RFC 6902). Clients send "from":"" with every
// operation; those that have no from ignore it.
func applyPatch(document, body []byte) ([]byte, error) {
	patch, err := jsonpatch.DecodePatch(body)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot parse JSON patch: %w", err)
	}
	if patch == nil {
		return nil, model.Errorf(model.Invalid, "cannot parse JSON patch: null is no list of operations")
	}
	if len(patch) > maxPatchOps {
		return nil, model.Errorf(model.Invalid, "cannot apply JSON patch: %d operations, at most %d are allowed", len(patch), maxPatchOps)
	}
	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit = model.MaxBody
	options.EscapeHTML = false
	for i, op := range patch {
		if err := checkOp(op); err != nil {
			return nil, patchFailed(i, err)
		}
		if document, err = (jsonpatch.Patch{op}).ApplyWithOptions(document, options); err != nil {
			return nil, patchFailed(i, err)
		}
		if len(document) > model.MaxBody {
			return nil, model.Errorf(model.Invalid, "cannot apply JSON patch: the result is larger than %d bytes", model.MaxBody)
		}
	}
	return document, nil
}

// checkOp refuses an operation that lacks a member it must have (RFC 6902 §4),
// and what the library would stumble over.
func checkOp(op jsonpatch.Operation) error {
	path, err := op.Path()
	if err != nil {
		return err
	}
	value, given := op["value"]
	switch kind := op.Kind(); kind {
	case "add", "replace", "test":
		if !given {
			return fmt.Errorf("operation %s without a value", kind)
		}
		if path == "" && value == nil {
			return fmt.Errorf("the whole document is not null: %w", jsonpatch.ErrTestFailed)
		}
	case "move", "copy":
		if _, err := op.From(); err != nil {
			return err
		}
	case "remove":
	default:
		return fmt.Errorf("unknown operation %.20q", kind)
	}
	return nil
}

// patchFailed words a failed operation as the reference does.
func patchFailed(line int, err error) *model.Error {
	kind, text := model.Invalid, err.Error()
	if errors.Is(err, jsonpatch.ErrTestFailed) {
		// The text of the cause may quote the document.
		kind, text = model.Conflict, "Test op failed."
	}
	failed := model.Errorf(kind, "Patch failed to apply at line %d", line)
	failed.Messages = append(failed.Messages, fmt.Sprint(text))
	return failed
}
