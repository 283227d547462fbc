package content

import "provision-plugins/shared/model"

// Parse reads a bundle in YAML or JSON.
func Parse(data []byte) (*model.Content, error) {
	return nil, model.Errorf(model.Unsupported, "cannot parse bundle: not built yet")
}

// Validate checks a bundle.
func Validate(c *model.Content) error { return nil }

// Params returns the params section, typed.
func Params(c *model.Content) (map[string]*model.Param, error) {
	return map[string]*model.Param{}, nil
}

// CheckValue checks a value against the param's schema.
func CheckValue(p *model.Param, value any) error { return nil }
