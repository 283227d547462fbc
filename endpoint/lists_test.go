package endpoint

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"provision-plugins/endpoint/query"
)

// parseList reads a list's query.
func parseList(t *testing.T, text string) query.List {
	t.Helper()
	values, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	l, err := query.Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// fleet makes machines that differ in a few ways.
func (r *rig) fleet(n int) {
	r.t.Helper()
	for i := range n {
		r.want(201, "POST", "/machines", fmt.Sprintf(
			`{"Name":"m%d","Description":"row %d","Address":"10.0.0.%d","HardwareAddrs":["02:00:00:00:00:0%d"],"Meta":{"rack":"r%d"},"Params":{"unit":%d,"bmc/password":"pw-%d"}}`,
			i, i%2, i+8, i, i%3, i, i), nil)
	}
}

func TestListsOfMachines(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.fleet(6)
	r.want(201, "POST", "/profiles", `{"Name":"site","Params":{"where":"here"}}`, nil)
	r.want(200, "PATCH", "/machines/Name:m5", `[{"op":"replace","path":"/Profiles","value":["site"]}]`, nil)
	for query, want := range map[string]string{
		"": "m0 m1 m2 m3 m4 m5 6", "Name=m1": "m1 1", "Name=Eq(m1)": "m1 1", "Name=In(m1,m3)": "m1 m3 2", "Name=nobody": "0", "Name=m1&Description=row+0": "0",
		"Description=row+0": "m0 m2 m4 3", "Description=Ne(row+0)&sort=Name&reverse=true": "m5 m3 m1 3", "unit=Gte(4)": "m4 m5 2", "unit=Between(1,2)": "m1 m2 2",
		"unit=Except(1,4)": "m0 m5 2", "Meta.rack=r1": "m1 m4 2", "Address=Lt(10.0.0.10)": "m0 m1 2", "HardwareAddrs=02:00:00:00:00:03": "m3 1", "Name=Re(^m[12]$)": "m1 m2 2",
		"Name=Nin(m0,m1,m2,m3)": "m4 m5 2", "limit=2": "m0 m1 6", "limit=2&offset=4": "m4 m5 6", "limit=0": "6", "sort=unit&reverse=true&limit=1": "m5 6",
		"bmc%2Fpassword=pw-1": "0", "bmc%2Fpassword=Re(pw)": "0", "where=here": "0", "where=here&aggregate=true": "m5 1", "Profiles=site": "m5 1", "Available=true&Valid=true": "m0 m1 m2 m3 m4 m5 6",
		"Secret=x": "0", "nothing=x": "0",
	} {
		var list []struct{ Name string }
		joiner := "?sort=Name&"
		if strings.Contains(query, "sort=") {
			joiner = "?"
		}
		resp := r.want(200, "GET", "/machines"+joiner+query, "", &list)
		var got []string
		for _, m := range list {
			got = append(got, m.Name)
		}
		if text := strings.Join(append(got, resp.Header.Get("X-Drp-List-Filter-Count")), " "); text != want {
			t.Errorf("%s: %s, want %s", query, text, want)
		}
	}
}

func TestSlimLists(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.fleet(1)
	for _, path := range []string{"/machines/Name:m0", "/machines"} {
		for query, want := range map[string]string{
			"":                         `{"unit":0,"bmc/password"} "rack" false`,
			"slim=Params":              `no "rack" true`,
			"slim=Params,Meta":         `no no true`,
			"slim=Name,Uuid,Nothing":   `{"unit":0,"bmc/password"} "rack" true`,
			"params=unit,none":         `{"unit":0} "rack" true`,
			"params=none":              `{} "rack" true`,
			"slim=Meta&params=unit":    `{"unit":0} no true`,
			"aggregate=true&slim=Meta": `{"unit":0,"bmc/password"} no true`,
		} {
			resp, raw := r.askLocal("GET", path+"?"+query, "")
			if resp.StatusCode != 200 {
				t.Fatalf("%s?%s: %s", path, query, raw)
			}
			raw = []byte(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(raw)), "["), "]"))
			var m struct {
				Name, Uuid string
				Params     map[string]any
				Meta       map[string]string
				Partial    bool
			}
			if err := json.Unmarshal(raw, &m); err != nil || m.Name != "m0" || m.Uuid == "" {
				t.Fatalf("%s?%s: %v: %s", path, query, err, raw)
			}
			got := []string{"no", "no", fmt.Sprint(m.Partial)}
			if m.Params != nil {
				got[0] = "{}"
				if _, ok := m.Params["unit"]; ok {
					got[0] = `{"unit":0}`
				}
				if _, ok := m.Params["bmc/password"]; ok {
					got[0] = `{"unit":0,"bmc/password"}`
				}
			}
			if m.Meta != nil {
				got[1] = `"rack"`
			}
			if text := strings.Join(got, " "); text != want {
				t.Errorf("%s?%s: %s, want %s", path, query, text, want)
			}
		}
	}
}

// What is listed is encoded once for each revision, and again when what is
// secret may have changed.
func TestListsShowWhatIsThereNow(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.fleet(2)
	r.want(200, "POST", "/machines/Name:m0/params/site/code", `"c0d3-1234"`, nil)
	shown := func() string {
		_, raw := r.askLocal("GET", "/machines?Name=Re(m)&sort=Name", "")
		return string(raw)
	}
	if first := shown(); first != shown() || !strings.Contains(first, "c0d3-1234") {
		t.Errorf("shown %s, then %s", first, shown())
	}
	r.want(200, "PATCH", "/machines/Name:m1", `[{"op":"replace","path":"/Description","value":"changed"}]`, nil)
	if now := shown(); !strings.Contains(now, `"changed"`) {
		t.Errorf("shown %s", now)
	}
	r.want(201, "POST", "/params", `{"Name":"site/code","Secure":true,"Schema":{"type":"string"}}`, nil)
	if now := shown(); strings.Contains(now, "c0d3-1234") {
		t.Errorf("a value that has become a secret is shown: %s", now)
	}
	var list []json.RawMessage
	r.want(200, "GET", "/machines?site%2Fcode=c0d3-1234", "", &list)
	if len(list) != 0 {
		t.Errorf("a value that has become a secret is found: %s", list)
	}
}

// A list of one machine by its name does not look at the others.
func TestCandidates(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.fleet(3)
	k := r.e.objects.kinds.get("machines")
	for text, want := range map[string]int{"Name=m1": 1, "Name=Eq(m1)": 1, "Name=none": 0, "Name=Ne(m1)": 3, "Name=Re(m1)": 3, "Description=row+0": 3, "Key=none": 0} {
		if got := len(r.e.objects.candidates(k, parseList(t, text))); got != want {
			t.Errorf("%s: %d candidates, want %d", text, got, want)
		}
	}
}
