package bundle

import (
	"provision-plugins/shared/model"
)

// Params returns the params that a bundle declares, by name.
func Params(c *model.Content) (map[string]*model.Param, error) {
	section := c.Sections["params"]
	out := make(map[string]*model.Param, len(section))
	for name, obj := range section {
		p := &model.Param{}
		if err := model.Remarshal(obj, p); err != nil {
			return nil, model.Errorf(model.Invalid, "cannot read param %s: %s", name, model.AsError(err).Text())
		}
		out[name] = p
	}
	return out, nil
}
