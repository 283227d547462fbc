package main

import (
	"testing"

	"provision-plugins/shared/content/targetstest"
)

// The tokens go to the API's address and nowhere else.
func TestTargetsAreDeclared(t *testing.T) { targetstest.Check(t, definition(), nil) }
