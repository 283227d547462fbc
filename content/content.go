// Package content holds the two content bundles that belong to the suite and
// to no plugin: base, what every endpoint has, and oob, the params of the suite.
package content

import (
	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// Base returns the embedded endpoint's own layer.
func Base() (*model.Content, error) { return content.Parse([]byte(baseYamlString)) }

// OOB returns the params of the suite, a layer that any endpoint takes.
func OOB() (*model.Content, error) { return content.Parse([]byte(oobYamlString)) }
