package content

import (
	"context"

	"provision-plugins/shared/model"
)

// LoadDir reads a bundle from the directory format.
func LoadDir(ctx context.Context, dir string) (*model.Content, error) {
	return nil, model.Errorf(model.Unsupported, "cannot load %s: not built yet", dir)
}
