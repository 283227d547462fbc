package main

import (
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// matches reports whether an event matches a pattern "type.action.key", where
// each part is * or a comma list. The endpoint does this for a stream; for the
// events it remembers it is done here.
func matches(pattern string, e *model.Event) bool {
	parts := strings.SplitN(pattern, ".", 3)
	for i, value := range []string{e.Type, e.Action, e.Key} {
		if i >= len(parts) {
			return true
		}
		words := strings.Split(parts[i], ",")
		if !slices.Contains(words, "*") && !slices.Contains(words, value) {
			return false
		}
	}
	return true
}
