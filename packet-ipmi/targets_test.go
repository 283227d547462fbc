package main

import (
	"testing"

	"provision-plugins/shared/content/targetstest"
	"provision-plugins/shared/driver"
)

// Every param that may say where the key goes is declared, or is no such.
func TestTargetsAreDeclared(t *testing.T) {
	targetstest.Check(t, definition(driver.NewProvider(newDriver(), driver.Options{})), map[string]string{
		"packet/ipxe-script-url": "is given to the server, which fetches it",
		"packet/metadata-url":    "is read by tasks that run on the server itself",
	})
}
