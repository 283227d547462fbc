package redfish_test

import (
	"maps"
	"net/http"
	"testing"

	"provision-plugins/sim/redfish"
)

// object is short for what JSON has.
type object = map[string]any

// setBoot changes the boot override.
func setBoot(p *peer, boot object) reply {
	p.t.Helper()
	return p.do(http.MethodPatch, p.system(), object{"Boot": boot})
}

// TestPatchAnswers: how each dialect answers what was done.
func TestPatchAnswers(t *testing.T) {
	t.Parallel()
	for dialect, want := range map[string]struct {
		patch, action int
		key           string // of the body of a PATCH
	}{
		"generic":    {200, 204, "Boot"},
		"idrac":      {200, 204, "@Message.ExtendedInfo"},
		"ilo":        {200, 200, "error"},
		"openbmc":    {204, 204, ""},
		"supermicro": {200, 200, "Success"},
	} {
		b, p, _ := one(t, redfish.Options{Dialect: dialect})
		r := setBoot(p, object{"BootSourceOverrideEnabled": "Continuous", "BootSourceOverrideTarget": "Hdd"})
		if _, has := r.body[want.key]; r.status != want.patch || has != (want.key != "") {
			t.Errorf("%s: status %d: %s", dialect, r.status, r.raw)
		}
		if s := b.System(0); s.BootEnabled != "Continuous" || s.BootTarget != "Hdd" {
			t.Errorf("%s: %+v", dialect, s)
		}
		if r = p.reset("On"); r.status != want.action {
			t.Errorf("%s: reset is answered %d", dialect, r.status)
		}
		if s := b.System(0); s.Booted != "Hdd" || s.BootEnabled != "Continuous" {
			t.Errorf("%s: after the start: %+v", dialect, s)
		}
	}
}

// TestPatchIsRefused: a PATCH does all or nothing, and says what is wrong.
func TestPatchIsRefused(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	before := b.System(0)
	for _, c := range []struct {
		body any
		id   string
	}{
		{object{"Boot": object{"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Tape"}}, "PropertyValueNotInList"},
		{object{"Boot": object{"BootSourceOverrideEnabled": "Twice"}}, "PropertyValueNotInList"},
		{object{"Boot": object{"BootSourceOverrideEnabled": true}}, "PropertyValueTypeError"},
		{object{"Boot": object{"BootSourceOverrideMode": "BIOS"}}, "PropertyValueNotInList"},
		{object{"Boot": object{"Color": "red"}}, "PropertyUnknown"},
		{object{"Boot": object{"BootOrder": object{"1": object{}}}}, "PropertyUnknown"},
		{object{"IndicatorLED": "Green"}, "PropertyValueNotInList"},
		{object{"LocationIndicatorActive": "yes"}, "PropertyValueTypeError"},
		{object{"PowerRestorePolicy": "Never"}, "PropertyValueNotInList"},
		{object{"PowerState": "On"}, "PropertyNotWritable"},
		{object{"UUID": "0"}, "PropertyNotWritable"},
		{object{"Oem": object{"Vendor": object{"A": 1}}}, "PropertyUnknown"},
		{object{"IndicatorLED": "Lit", "SerialNumber": "x"}, "PropertyNotWritable"},
		{object{"Boot": object{}}, "PropertyNotWritable"},
		{object{}, "NoOperation"},
		{"[1]", "MalformedJSON"},
		{"{", "MalformedJSON"},
	} {
		r := p.want(http.StatusBadRequest, http.MethodPatch, p.system(), c.body)
		if messageID(r) != c.id {
			t.Errorf("%v: %s", c.body, r.raw)
		}
	}
	if now := b.System(0); now != before {
		t.Errorf("it was %+v and is %+v", before, now)
	}
	if len(b.Counts()) != 0 {
		t.Errorf("executed: %v", b.Counts())
	}
	p.want(http.StatusMethodNotAllowed, http.MethodPatch, "/redfish/v1/Systems", object{})
	p.want(http.StatusMethodNotAllowed, http.MethodPut, p.system(), object{})
}

// TestDisabledOverride: without an override there is no target either.
func TestDisabledOverride(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	setBoot(p, object{"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"})
	setBoot(p, object{"BootSourceOverrideEnabled": "Disabled"})
	p.reset("On")
	if s := b.System(0); s.Booted != "None" || s.BootTarget != "None" {
		t.Errorf("%+v", s)
	}
}

// TestBootModes: what dialects do with the mode.
func TestBootModes(t *testing.T) {
	t.Parallel()
	once := object{"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}
	for _, c := range []struct {
		dialect       string
		status        int // with the mode UEFI
		with, without string
	}{
		{"generic", 200, "UEFI", "UEFI"},
		{"idrac", 200, "UEFI", "UEFI"},
		{"ilo", 400, "UEFI", "UEFI"}, // the mode is read-only
		{"openbmc", 204, "UEFI", "UEFI"},
		{"supermicro", 200, "UEFI", "Legacy"}, // not told means the default
	} {
		b, p, _ := one(t, redfish.Options{Dialect: c.dialect})
		with := maps.Clone(once)
		with["BootSourceOverrideMode"] = "UEFI"
		r := setBoot(p, with)
		if r.status != c.status || b.System(0).BootMode != c.with && c.status < 400 {
			t.Errorf("%s: status %d, %+v", c.dialect, r.status, b.System(0))
		}
		if c.status == 400 && (messageID(r) != "PropertyNotWritable" || b.System(0).BootTarget != "None") {
			t.Errorf("%s: %s, %+v", c.dialect, r.raw, b.System(0))
		}
		if setBoot(p, once); b.System(0).BootMode != c.without {
			t.Errorf("%s: without a mode: %+v", c.dialect, b.System(0))
		}
	}
}

// TestForgottenBoot: a BMC that takes an override and does not keep it.
func TestForgottenBoot(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	b.SetFaults(redfish.Faults{ForgetsBoot: true})
	if r := setBoot(p, object{"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}); r.status != http.StatusOK {
		t.Errorf("status %d", r.status)
	}
	executed(t, b, "set boot", 1)
	if s := b.System(0); s.BootEnabled != "Disabled" {
		t.Errorf("%+v", s)
	}
}

// TestLED: by which properties a machine is found.
func TestLED(t *testing.T) {
	t.Parallel()
	lit, active := object{"IndicatorLED": "Lit"}, object{"LocationIndicatorActive": true}
	for _, c := range []struct {
		dialect     string
		led, active int
	}{
		{"generic", 200, 200}, {"idrac", 200, 200}, {"ilo", 200, 400}, {"openbmc", 400, 204}, {"supermicro", 200, 400},
	} {
		b, p, _ := one(t, redfish.Options{Dialect: c.dialect})
		if r := p.do(http.MethodPatch, p.system(), lit); r.status != c.led || r.status < 300 != (b.System(0).LED == "Lit") {
			t.Errorf("%s: status %d, %s", c.dialect, r.status, b.System(0).LED)
		}
		if r := p.do(http.MethodPatch, p.system(), active); r.status != c.active || r.status < 300 != (b.System(0).LED == "Blinking") {
			t.Errorf("%s: status %d, %s", c.dialect, r.status, b.System(0).LED)
		}
		if b.Executed("led") == 0 {
			t.Errorf("%s: %v", c.dialect, b.Counts())
		}
	}
	_, p, _ := one(t, redfish.Options{Dialect: "ilo"})
	p.want(http.StatusBadRequest, http.MethodPatch, p.system(), object{"IndicatorLED": "Blinking"})
}

// TestChassisLED: a chassis has an indicator of its own.
func TestChassisLED(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{Dialect: "supermicro"})
	chassis := members(t, p.get("/redfish/v1/Chassis"))[0]
	p.want(http.StatusOK, http.MethodPatch, chassis, object{"IndicatorLED": "Blinking"})
	if got := p.get(chassis)["IndicatorLED"]; got != "Blinking" || b.System(0).LED != "Off" {
		t.Errorf("chassis %v, system %s", got, b.System(0).LED)
	}
	executed(t, b, "led", 1)
}

// TestKeptProperties: what means nothing to the simulator is kept and told.
func TestKeptProperties(t *testing.T) {
	t.Parallel()
	_, p, _ := one(t, redfish.Options{})
	p.want(http.StatusOK, http.MethodPatch, p.system(), object{"AssetTag": "rack 7", "PowerRestorePolicy": "AlwaysOn"})
	p.want(http.StatusOK, http.MethodPatch, p.system(), object{"AssetTag": "rack 8"})
	if tree := p.get(p.system()); tree["AssetTag"] != "rack 8" || tree["PowerRestorePolicy"] != "AlwaysOn" {
		t.Errorf("%v, %v", tree["AssetTag"], tree["PowerRestorePolicy"])
	}
	settings := p.system() + "/Bios/Settings"
	p.want(http.StatusOK, http.MethodPatch, settings, object{"Attributes": object{"BootMode": "Bios"}})
	if got := at(p.get(settings), "Attributes", "BootMode"); got != "Bios" {
		t.Errorf("settings: %v", got)
	}
	if got := at(p.get(p.system()+"/Bios"), "Attributes", "BootMode"); got != "Uefi" {
		t.Errorf("bios: %v", got)
	}
	p.want(http.StatusOK, http.MethodPatch, p.system()+"/SecureBoot", object{"SecureBootEnable": true})
	if got := p.get(p.system() + "/SecureBoot")["SecureBootEnable"]; got != true {
		t.Errorf("secure boot: %v", got)
	}
}

// TestETags: a resource has a tag that changes with it, and a change can be tied to
// it.
func TestETags(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	first := p.want(http.StatusOK, http.MethodGet, p.system(), nil)
	tag := first.header.Get("ETag")
	if tag == "" || first.body["@odata.etag"] != tag {
		t.Fatalf("tag %q, in the body %v", tag, first.body["@odata.etag"])
	}
	p.head.Set("If-None-Match", tag)
	p.want(http.StatusNotModified, http.MethodGet, p.system(), nil)
	p.head.Del("If-None-Match")

	p.head.Set("If-Match", tag)
	r := p.want(http.StatusOK, http.MethodPatch, p.system(), object{"IndicatorLED": "Lit"})
	if next := r.header.Get("ETag"); next == "" || next == tag {
		t.Errorf("tag after the change: %q", next)
	}
	r = p.want(http.StatusPreconditionFailed, http.MethodPatch, p.system(), object{"IndicatorLED": "Off"})
	if messageID(r) != "PreconditionFailed" || b.System(0).LED != "Lit" {
		t.Errorf("%s, %s", r.raw, b.System(0).LED)
	}
	p.head.Set("If-Match", "*")
	p.want(http.StatusOK, http.MethodPatch, p.system(), object{"IndicatorLED": "Off"})

	p.head.Del("If-Match")
	b.SetFaults(redfish.Faults{NeedsETag: true})
	r = p.want(http.StatusPreconditionRequired, http.MethodPatch, p.system(), object{"IndicatorLED": "Lit"})
	if messageID(r) != "PreconditionRequired" {
		t.Errorf("%s", r.raw)
	}
	b.SetFaults(redfish.Faults{NoETags: true})
	if r = p.do(http.MethodGet, p.system(), nil); r.header.Get("ETag") != "" || r.body["@odata.etag"] != nil {
		t.Errorf("tag: %v", r.header)
	}
}
