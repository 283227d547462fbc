package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// referenceActions are those of the plugin of this name that others know.
var referenceActions = []string{
	model.PowerOn, model.PowerOff, model.PowerCycle, model.PowerStatus,
	model.NextBootPXE, model.NextBootDisk, model.NextBootCD, model.ForceBootPXE, model.ForceBootDisk,
	model.Identify, model.Status,
	getInfo, "getBios", "getMemory", "getStorage", "getSimpleStorage", "getProcessor",
	"getNetworkInterfaces", "getEthernetInterfaces", "getSecureBoot", "getBoot",
	"mountVirtualMedia", "unmountVirtualMedia", "statusVirtualMedia",
}

// modesOf is the modes that have an action outside the vocabulary.
func modesOf(e *extra) []string {
	var names []string
	for _, m := range modes {
		if m.session != nil && m.name != "auto" && e.has(m.session) {
			names = append(names, m.name)
		}
	}
	return names
}

// The marks between which the table of actions stands in the documentation.
const (
	actionsBegin = "<!-- actions: what extras in ipmi/extras.go says -->"
	actionsEnd   = "<!-- end of actions -->"
)

// actionsTable renders the actions outside the vocabulary.
func actionsTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| action | class | modes | params |\n|---|---|---|---|\n", actionsBegin)
	all := extras()
	for i := range all {
		e := &all[i]
		var params []string
		for _, p := range append(slices.Clone(e.required), e.optional...) {
			params = append(params, "`"+p+"`")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", e.command, e.class, strings.Join(modesOf(e), ", "), strings.Join(params, ", "))
	}
	fmt.Fprintf(&b, "\n%s\n", actionsEnd)
	return b.String()
}

// TestActionsDocument holds the documentation to the table.
func TestActionsDocument(t *testing.T) {
	t.Parallel()
	const path = "../docs/ipmi.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := actionsTable(); !strings.Contains(string(text), want) {
		t.Errorf("%s does not hold the table as it is; it must hold:\n%s", path, want)
	}
}

// Each of the 24 actions that others know is there. Mode ipmitool does it, or says
// that it does not and which mode does.
func TestReferenceActions(t *testing.T) {
	t.Parallel()
	if len(referenceActions) != 24 {
		t.Errorf("%d actions", len(referenceActions))
	}
	redfishOnly := []string{
		"getBios", "getMemory", "getStorage", "getSimpleStorage", "getProcessor", "getNetworkInterfaces", "getEthernetInterfaces",
		"getSecureBoot", "getBoot", "mountVirtualMedia", "unmountVirtualMedia", "statusVirtualMedia",
	}
	b := startBMC(t, bmc.Options{On: true})
	p := newProvider(t)
	for _, command := range referenceActions {
		params := model.Params{"ipmi/virtual-media-url": "http://127.0.0.1/a.iso", "detected-bios-mode": "uefi"}
		result, err := ask(p, command, b.Addr(), params)
		elsewhere := slices.Contains(redfishOnly, command)
		switch {
		case !elsewhere && err != nil:
			t.Errorf("%s: %v", command, err)
		case elsewhere && (model.KindOf(err) != model.Unsupported || !strings.Contains(err.Error(), "redfish")):
			t.Errorf("%s: %v, %v", command, result, err)
		}
	}
}

// Every action is declared with what it needs, and one that changes something is
// told from one that does not.
func TestExtrasAreDeclared(t *testing.T) {
	t.Parallel()
	actions := driver.NewProvider(patientDriver(), driver.Options{}).Actions()
	all := extras()
	for i := range all {
		e := &all[i]
		at := slices.IndexFunc(actions, func(a model.AvailableAction) bool { return a.Command == e.command })
		if at < 0 || actions[at].Model != "machines" {
			t.Errorf("%s is not declared", e.command)
			continue
		}
		for _, p := range e.required {
			if !slices.Contains(actions[at].RequiredParams, p) {
				t.Errorf("%s does not say that it needs %s", e.command, p)
			}
		}
		if reads := strings.HasPrefix(e.command, "get") || strings.HasPrefix(e.command, "status"); reads != (e.class == model.Read) {
			t.Errorf("%s is of class %s", e.command, e.class)
		}
	}
}
