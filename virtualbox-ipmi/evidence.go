package main

import (
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// sentFor is what an action that changes a machine runs.
var sentFor = map[string]string{
	model.PowerOn:       "`startvm --type` with `virtualbox/frontend`; before it the steps of [boot once](#boot-once)",
	model.PowerOff:      "`controlvm poweroff`; after it the steps of [boot once](#boot-once)",
	model.PowerSoft:     "`controlvm acpipowerbutton`, once",
	model.PowerCycle:    "`controlvm poweroff`, then `startvm`; from off: `startvm`",
	model.PowerReset:    "`controlvm reset`, once",
	model.PowerNMI:      "`debugvm injectnmi`, once",
	model.NextBootPXE:   sentForBoot,
	model.NextBootDisk:  sentForBoot,
	model.NextBootCD:    sentForBoot,
	model.NextBootBIOS:  sentForNothing,
	model.ForceBootPXE:  sentForBoot,
	model.ForceBootDisk: sentForBoot,
	model.Identify:      sentForNothing,
}

// What boot overrides run, and actions that there is nothing for.
const (
	sentForBoot    = "`setextradata`; `modifyvm --boot1` to `--boot4` while the VM is off"
	sentForNothing = "nothing: `unsupported`, with what to use instead"
)

// seenBy is how a sighting is made on a VM, in two readings in a row.
var seenBy = map[driver.Sighting]string{
	driver.SawOn:       "`VMState` is a word for on",
	driver.SawOff:      "`VMState` is a word for off, and no session is open",
	driver.SawRestart:  "the guest property `/VirtualBox/VMInfo/ResetCounter` is one more, within 5 s",
	driver.SawOverride: "the boot order and the extradata read back as set",
	driver.SawLocator:  "never",
}
