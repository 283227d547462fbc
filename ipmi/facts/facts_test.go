package facts

import (
	"encoding/json"
	"testing"
	"time"
)

// The worse of two healths is the same whichever is asked.
func TestWorse(t *testing.T) {
	order := []Health{"", OK, Warning, Critical}
	for i, a := range order {
		for j, b := range order {
			if got, want := a.Worse(b), order[max(i, j)]; got != want {
				t.Errorf("%q and %q: %q, want %q", a, b, got, want)
			}
		}
	}
}

// What is not known is left out, and a reading of 0 is told: nothing else could
// tell the two apart.
func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	zero, on := 0.0, true
	at := time.Unix(1_000_000_000, 0).UTC()
	for _, c := range []struct {
		name string
		in   any
		want string
	}{
		{"a reading of 0", Sensor{ID: "0x30", Name: "Inlet", Reading: &zero, Unit: "degrees C", Health: OK}, `{"id":"0x30","name":"Inlet","reading":0,"unit":"degrees C","health":"OK"}`},
		{"no reading", Sensor{ID: "0x31", Name: "Fan 1", Unavailable: "switched off"}, `{"id":"0x31","name":"Fan 1","unavailable":"switched off"}`},
		{"an event", Entry{ID: "1", Time: &at, Kind: "event", Asserted: &on}, `{"id":"1","time":"2001-09-09T01:46:40Z","kind":"event","asserted":true}`},
		{"a user of whom little is told", User{ID: "2", Name: "admin"}, `{"id":"2","name":"admin"}`},
		{"power", Power{Watts: 0}, `{"watts":0}`},
		{"a device without areas", Device{ID: "0", Notes: []string{"garbage"}}, `{"id":"0","notes":["garbage"]}`},
	} {
		got, err := json.Marshal(c.in)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}
