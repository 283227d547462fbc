package main

import (
	"testing"

	"provision-plugins/shared/content/targetstest"
	"provision-plugins/shared/driver"
)

// Every param that may say where the password goes is declared, or is no such.
func TestTargetsAreDeclared(t *testing.T) {
	const (
		set    = "is set on the BMC by a task of the machine's own; nothing is connected to it"
		seen   = "tells what was found on the machine; nothing is connected to it"
		unused = "belongs to a protocol that this driver does not speak"
		asked  = "is in the request alone, and none is kept that another request could send elsewhere"
		media  = "is given to the BMC, which fetches it"
	)
	targetstest.Check(t, definition(driver.NewProvider(patientDriver(), driver.Options{})), map[string]string{
		"ipmi/address-v4":                 seen,
		"ipmi/address-v6":                 seen,
		"ipmi/configure/address":          set,
		"ipmi/configure/certificate":      set,
		"ipmi/configure/dns-servers":      set,
		"ipmi/configure/gateway":          set,
		"ipmi/configure/hostname":         set,
		"ipmi/configure/key":              set,
		"ipmi/configure/ntp-servers":      set,
		"ipmi/configure/password":         set,
		"ipmi/configure/port":             set,
		"ipmi/configure/service-password": set,
		"ipmi/gateway":                    seen,
		"ipmi/gateway-v4":                 seen,
		"ipmi/gateway-v6":                 seen,
		"ipmi/new-password":               asked,
		"ipmi/port-lpar":                  unused,
		"ipmi/port-racadm":                unused,
		"ipmi/virtual-media-url":          media,
	})
}
