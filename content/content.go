// Package content holds the two content bundles that belong to the suite and
// to no plugin: base, the embedded endpoint's own layer, and oob, the params
// that every driver of the suite understands. Their sources are the folders of
// the same names; go generate turns them into base.go and oob.go.
package content

import (
	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// Base returns the embedded endpoint's own layer: what a real endpoint has
// before anything is added to it. The caller owns the result.
func Base() (*model.Content, error) { return bundle.Parse([]byte(baseYamlString)) }

// OOB returns the params of the suite, a layer that any endpoint takes. The
// caller owns the result.
func OOB() (*model.Content, error) { return bundle.Parse([]byte(oobYamlString)) }
