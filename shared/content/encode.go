package content

import (
	"io"

	"provision-plugins/shared/model"
)

// EncodeYAML writes the bundle as YAML.
func EncodeYAML(w io.Writer, c *model.Content) error { return model.Encode(w, c) }

// EncodeJSON writes the bundle as JSON.
func EncodeJSON(w io.Writer, c *model.Content) error { return model.Encode(w, c) }

// EncodeGo writes the bundle as a Go file.
func EncodeGo(w io.Writer, c *model.Content) error { return model.Encode(w, c) }
