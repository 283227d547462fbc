package model

import (
	"slices"
	"testing"
	"time"
)

// The vocabulary is what drivers, endpoint and people share.
func TestActions(t *testing.T) {
	const s = time.Second
	want := []struct {
		command string
		class   Class
		guarded bool
		timeout time.Duration
	}{
		{"poweron", Idempotent, false, 90 * s},
		{"poweroff", Idempotent, true, 90 * s},
		{"powersoft", Once, true, 180 * s},
		{"powercycle", Once, true, 180 * s},
		{"powerreset", Once, true, 180 * s},
		{"powernmi", Once, true, 60 * s},
		{"powerstatus", Read, false, 15 * s},
		{"nextbootpxe", Idempotent, false, 60 * s},
		{"nextbootdisk", Idempotent, false, 60 * s},
		{"nextbootcd", Idempotent, false, 60 * s},
		{"nextbootbios", Idempotent, false, 60 * s},
		{"forcebootpxe", Idempotent, false, 60 * s},
		{"forcebootdisk", Idempotent, false, 60 * s},
		{"bootstatus", Read, false, 15 * s},
		{"identify", Idempotent, false, 60 * s},
		{"status", Read, false, 15 * s},
		{"doctor", Read, false, 60 * s},
		{"getIdentity", Read, false, 15 * s},
	}
	rows := Actions()
	if len(rows) != len(want) {
		t.Fatalf("%d actions, want %d", len(rows), len(want))
	}
	for i, w := range want {
		row := rows[i]
		if row.Command != w.command || row.Class != w.class || row.Guarded != w.guarded || row.Timeout != w.timeout || row.Summary == "" {
			t.Errorf("row %d is %+v, want %+v", i, row, w)
		}
		if ActionOf(w.command, map[string]string{MetaClasses: `{"` + w.command + `":"read"}`}) != row {
			t.Errorf("%s: a driver could change its class", w.command)
		}
	}
	rows[0].Class = Read
	if ActionOf(PowerOn, nil).Class != Idempotent {
		t.Error("the table can be changed from outside")
	}
}

// What nobody declares is sent once, unless its name says that it only reads.
func TestActionOfClasses(t *testing.T) {
	meta := map[string]string{MetaClasses: `{"mountVirtualMedia":"idempotent","createVm":"once","scan":"read","getRich":"once","odd":"twice"}`}
	for _, tc := range []struct {
		command string
		meta    map[string]string
		want    Class
	}{
		{"mountVirtualMedia", meta, Idempotent},
		{"createVm", meta, Once},
		{"scan", meta, Read},
		{"getRich", meta, Once},
		{"odd", meta, Once},
		{"getInfo", meta, Read},
		{"getInfo", nil, Read},
		{"updatepxe", nil, Once},
		{"", nil, Once},
		{"GetInfo", nil, Once},
		{"mountVirtualMedia", map[string]string{MetaClasses: "not JSON"}, Once},
		{"mountVirtualMedia", map[string]string{MetaClasses: `["a"]`}, Once},
	} {
		row := ActionOf(tc.command, tc.meta)
		if row.Class != tc.want || row.Command != tc.command {
			t.Errorf("%q: %+v, want %s", tc.command, row, tc.want)
		}
		if want := map[Class]time.Duration{Read: 15 * time.Second}[row.Class]; want != 0 && row.Timeout != want || row.Timeout == 0 {
			t.Errorf("%q: timeout %v", tc.command, row.Timeout)
		}
	}
}

// What takes longer than others says so; what does not fit declares nothing, and
// the vocabulary is not changed.
func TestActionOfTimeouts(t *testing.T) {
	meta := map[string]string{
		MetaClasses:  `{"scan":"read"}`,
		MetaTimeouts: `{"reinstall":1800,"scan":20.5,"none":0,"back":-1,"ever":7201,"poweron":1}`,
	}
	for command, want := range map[string]time.Duration{
		"reinstall": 30 * time.Minute, "scan": 20500 * time.Millisecond, "none": changeTimeout, "back": changeTimeout, "ever": changeTimeout,
		"another": changeTimeout, "getInfo": readTimeout, PowerOn: powerTimeout,
	} {
		if got := ActionOf(command, meta).Timeout; got != want {
			t.Errorf("%s: %v, want %v", command, got, want)
		}
	}
	for _, odd := range []string{"", "not JSON", `[1]`, `{"reinstall":"1800"}`, `null`} {
		if got := ActionOf("reinstall", map[string]string{MetaTimeouts: odd}).Timeout; got != changeTimeout {
			t.Errorf("%s: %v", odd, got)
		}
	}
}

// The classes and states are words on the wire.
func TestWords(t *testing.T) {
	got := []string{string(Read), string(Idempotent), string(Once), string(StateOn), string(StateOff), string(StateTransition), string(StateUnknown), string(Verified), string(Acknowledged), string(Accepted)}
	want := []string{"read", "idempotent", "once", "on", "off", "transition", "unknown", "verified", "acknowledged", "accepted"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}
