package content

import (
	"maps"
	"slices"

	"provision-plugins/shared/model"
)

// findOpenSecrets finds Secure params with a default: a bundle is public, and
// so would the secret be.
func findOpenSecrets(c *model.Content) []finding {
	var out []finding
	params := c.Sections["params"]
	for _, name := range slices.Sorted(maps.Keys(params)) {
		schema, _ := params[name]["Schema"].(map[string]any)
		if _, ok := schema["default"]; ok && params[name]["Secure"] == true {
			out = append(out, finding{section: "params", key: name, field: "Schema", text: "a Secure param must have no default: everybody could read it"})
		}
	}
	return out
}
