package plugin

import (
	"sync"

	"provision-plugins/shared/content/bundle"
)

// SecureParams returns a function that tells whether a content bundle declares
// a param Secure. The bundle is parsed when it is first asked: define, start
// and most actions never need it.
func SecureParams(content string) func(param string) bool {
	names := sync.OnceValue(func() map[string]bool { return parseSecure(content) })
	return func(param string) bool { return names()[param] }
}

// parseSecure collects the names of Secure params. A bundle that does not parse
// declares none: secrets are still known by their names.
func parseSecure(content string) map[string]bool {
	names := map[string]bool{}
	c, err := bundle.Parse([]byte(content))
	if err != nil {
		return names
	}
	params, err := bundle.Params(c)
	if err != nil {
		return names
	}
	for name, param := range params {
		if param.Secure {
			names[name] = true
		}
	}
	return names
}
