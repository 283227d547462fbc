package life

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/shared/model"
)

// What a device is created by: the machine's params, then the plugin's, then the
// reference's defaults.
func TestRequest(t *testing.T) {
	defaults := model.Params{paramPlan: "c3.small.x86", paramTags: []any{"all"}}
	for name, row := range map[string]struct {
		params model.Params
		check  func(in *packngo.DeviceCreateRequest) bool
	}{
		"defaults": {nil, func(in *packngo.DeviceCreateRequest) bool {
			return in.Plan == "c3.small.x86" && slices.Equal(in.Facility, []string{"ewr1"}) && in.OS == "custom_ipxe" && in.AlwaysPXE && in.BillingCycle == "hourly" && slices.Equal(in.Tags, []string{"all"})
		}},
		"a metro in place of a facility": {model.Params{paramMetro: "ny", paramFacility: "ams1"}, func(in *packngo.DeviceCreateRequest) bool {
			return in.Metro == "ny" && in.Facility == nil
		}},
		"another operating system boots from its disk": {model.Params{paramSystem: "debian_12", paramAlwaysPXE: true}, func(in *packngo.DeviceCreateRequest) bool {
			return in.OS == "debian_12" && !in.AlwaysPXE
		}},
		"of its own": {model.Params{paramPlan: "m3.large.x86", paramTags: []any{"a", "b"}, paramUserdata: "x", paramName: "n", paramProject: "p", paramScript: "u", paramAlwaysPXE: false}, func(in *packngo.DeviceCreateRequest) bool {
			return in.Plan == "m3.large.x86" && slices.Equal(in.Tags, []string{"a", "b"}) && in.UserData == "x" && in.Hostname == "n" && in.ProjectID == "p" && in.IPXEScriptURL == "u" && !in.AlwaysPXE
		}},
		"null is not set": {model.Params{paramPlan: nil}, func(in *packngo.DeviceCreateRequest) bool { return in.Plan == "c3.small.x86" }},
	} {
		if in, err := Request(row.params, defaults); err != nil || !row.check(in) {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
	}
	for _, param := range []string{paramName, paramPlan, paramFacility, paramMetro, paramSystem, paramTags, paramUserdata, paramScript, paramProject} {
		if _, err := Request(model.Params{param: 7}, nil); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), param) {
			t.Errorf("%s: %v", param, err)
		}
	}
	if _, err := Request(model.Params{paramAlwaysPXE: "x"}, nil); model.KindOf(err) != model.Invalid {
		t.Error(err)
	}
}

func TestStory(t *testing.T) {
	at := &packngo.Timestamp{Time: time.Unix(0, 0)}
	got := Story([]*packngo.Event{{Type: "provisioning.101", Body: "Provisioning started", CreatedAt: at}, nil, {Type: "provisioning.102", Body: "later"}})
	if got != "provisioning.101 Provisioning started (1970-01-01T00:00:00Z)" {
		t.Error(got)
	}
	if got := Story(nil); got != "no provisioning event was reached" {
		t.Error(got)
	}
}

// The address of the console in each form that the API has had.
func TestConsole(t *testing.T) {
	for want, d := range map[string]*packngo.Device{
		"id@sos.ewr1.packet.net": {ID: "id", Facility: &packngo.Facility{Code: "ewr1"}},
		"id@sos.example":         {ID: "id", SOS: "sos.example"},
		"x@sos.example":          {ID: "id", SOS: "x@sos.example"},
		"":                       {ID: "id", Facility: &packngo.Facility{}},
	} {
		if got := ConsoleOf(d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A device may lack any of its parts.
func TestParamsOfABareDevice(t *testing.T) {
	got := ParamsOf(&packngo.Device{ID: "id", Project: &packngo.Project{URL: "/projects/p1"}, Plan: &packngo.Plan{}, Metro: &packngo.Metro{}, OS: &packngo.OS{}})
	if got[paramProject] != "p1" || got[paramUUID] != "id" || len(got) != 5 {
		t.Errorf("%v", got)
	}
	if macs := hardwareOf(&packngo.Device{NetworkPorts: []packngo.Port{{Type: "NetworkBondPort"}, {Type: "NetworkPort"}}}); len(macs) != 0 {
		t.Errorf("%v", macs)
	}
}
