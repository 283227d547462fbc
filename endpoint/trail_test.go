package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/endpoint/audit"
	"provision-plugins/shared/model"
)

// trailOf lists the audit trail, oldest first.
func (r *rig) trailOf(query string) []audit.Record {
	r.t.Helper()
	var list []audit.Record
	if err := model.Unmarshal(r.wantStatus(200, "GET", "/audit"+query, r.e.token, ""), &list); err != nil {
		r.t.Fatal(err)
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

func TestAuditTrail(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.user("op", "operator")
	token := r.login("op", "")
	uuid := r.machine("m1", nil)
	before := len(r.trailOf("?limit=1000"))
	r.wantStatus(200, "GET", "/machines", token, "")
	r.wantStatus(200, "POST", "/machines/"+uuid+"/actions/getParams", token, "{}")
	r.wantStatus(200, "POST", "/machines/"+uuid+"/actions/poweron", token, `{"oob/reason":"because"}`)
	r.wantStatus(403, "DELETE", "/machines/"+uuid, token, "")
	resp, _ := r.ask("PATCH", apiRoot+"/machines/"+uuid, r.e.token, `[{"op":"add","path":"/Params/toy~1password","from":"","value":"new-secret"}]`)
	r.wantStatus(200, "GET", "/machines/"+uuid+"?decode=true", r.e.token, "")
	r.wantStatus(404, "DELETE", "/nothing", r.e.token, "")
	got := r.trailOf("?limit=1000")[before:]
	type row struct{ who, method, path, needs, fields string }
	want := []row{
		{"user:op", "POST", "/machines/" + uuid + "/actions/poweron", "machines action:poweron " + uuid, "oob/reason"},
		{"user:op", "DELETE", "/machines/" + uuid, "machines delete " + uuid, ""},
		{"user:rocketskates", "PATCH", "/machines/" + uuid, "machines update " + uuid, "/Params/toy~1password"},
		{"user:rocketskates", "GET", "/machines/" + uuid, "machines get " + uuid + ",machines getSecure " + uuid, ""},
	}
	if len(got) != len(want) {
		t.Fatalf("%d records: %+v", len(got), got)
	}
	for i, rec := range got {
		is := row{rec.Who, rec.Method, strings.TrimPrefix(rec.Path, apiRoot), strings.Join(rec.Needs, ","), strings.Join(rec.Fields, ",")}
		if is != want[i] || rec.Denied != (i == 1) || rec.ID == "" || rec.From == "" || (rec.Token != "") != (i < 2) {
			t.Errorf("record %d: %+v", i, rec)
		}
	}
	if id := resp.Header.Get(RequestHeader); id == "" || id != got[2].ID {
		t.Errorf("the reply has the id %q, the record %q", id, got[2].ID)
	}
	for _, text := range []string{"new-secret", testPassword, token, "because"} {
		if raw := string(r.wantStatus(200, "GET", "/audit?limit=1000", r.e.token, "")); strings.Contains(raw, text) {
			t.Errorf("the trail shows %s", text)
		}
	}
	first := r.trailOf("?limit=1000")
	r.again()
	r.wantStatus(200, "DELETE", "/machines/"+uuid, r.e.token, "")
	var v audit.Verdict
	if err := model.Unmarshal(r.wantStatus(200, "GET", "/audit/check", r.e.token, ""), &v); err != nil || v.Broken != "" || v.Records != len(first)+1 || v.First != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	if last := r.trailOf("?limit=1"); len(last) != 1 || last[0].N != v.Last || last[0].Method != "DELETE" {
		t.Errorf("the last: %+v", last)
	}
	for _, limit := range []string{"0", "-1", "x", "1001"} {
		r.wantStatus(400, "GET", "/audit?limit="+limit, r.e.token, "")
	}
	r.wantStatus(403, "GET", "/audit", r.login("op", ""), "")
}

// Who is on the socket is named by the user of the system.
func TestAuditOfTheSocket(t *testing.T) {
	t.Parallel()
	r := start(t)
	if err := r.c.Post(t.Context(), "profiles", map[string]any{"Name": "pr"}, nil); err != nil {
		t.Fatal(err)
	}
	last := r.trailOf("?limit=1")
	if len(last) != 1 || last[0].From != "socket" || !strings.HasPrefix(last[0].Who, "user:") || last[0].Path != apiRoot+"/profiles" {
		t.Errorf("%+v", last)
	}
}

// noLog is a log that cannot be written.
type noLog struct{}

// AppendAudit fails.
func (noLog) AppendAudit(context.Context, []byte, uint64) (uint64, error) {
	return 0, errors.New("the disk is gone")
}

// LastAudit finds nothing.
func (noLog) LastAudit(context.Context) ([]byte, uint64, error) { return nil, 0, nil }

// What cannot be recorded is not done.
func TestNothingIsDoneWithoutARecord(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	good := r.e.api.trail
	broken, err := audit.Open(t.Context(), noLog{}, [32]byte{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	r.e.api.trail = broken
	for method, path := range map[string]string{
		"POST": "/machines/" + uuid + "/actions/poweron", "DELETE": "/machines/" + uuid, "PATCH": "/machines/" + uuid, "GET": "/machines/" + uuid + "?decode=true",
	} {
		if raw := string(r.wantStatus(500, method, path, r.e.token, "[]")); !strings.Contains(raw, "nothing was done") || strings.Contains(raw, "s3cr3t") {
			t.Errorf("%s: %s", method, raw)
		}
	}
	r.wantStatus(200, "GET", "/machines/"+uuid, r.e.token, "")
	if got := r.executed(); got != nil {
		t.Errorf("executed %v", got)
	}
	r.e.api.trail = good
}

func FuzzFieldsOf(f *testing.F) {
	for _, seed := range []string{`{"a":1,"b":{}}`, `[{"op":"add","path":"/x"},{"op":"test","path":"/y"}]`, `[1]`, `"x"`, `{"\u0000\n":1}`, ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		names := fieldsOf(raw)
		for _, name := range names {
			if len(name) > 3*maxFieldName || strings.ContainsAny(name, "\n\r") {
				t.Errorf("%q", name)
			}
		}
		if len(names) > maxFields {
			t.Errorf("%d names", len(names))
		}
	})
}

// BenchmarkPatches64 changes objects by 64 clients, each change with its record
// in the audit trail, which wants 2,000 a second; and without, to compare.
func BenchmarkPatches64(b *testing.B) {
	b.Run("audited", func(b *testing.B) { benchmarkPatches(b, true) })
	b.Run("bare", func(b *testing.B) { benchmarkPatches(b, false) })
}

// benchmarkPatches has 64 clients change a machine each.
func benchmarkPatches(b *testing.B, audited bool) {
	const clients = 64
	r := start(b)
	if !audited {
		r.e.api.trail = nil
	}
	uuids := make([]string, clients)
	for i := range uuids {
		uuids[i] = r.machine("m"+itoa(i), nil)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for _, uuid := range uuids {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				patch := json.RawMessage(`[{"op":"replace","path":"/Description","from":"","value":"` + itoa(int(n)) + `"}]`)
				if err := r.c.Patch(b.Context(), "machines/"+uuid, patch, nil); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "patches/s")
}

// Who logs in by the address of a stream is on record, as one who asks for a change,
// and the token is not.
func TestLoginsByAnAddressAreOnRecord(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.user("alice", "viewer")
	token := r.login("alice", "")
	r.wantStatus(400, "GET", "/ws?token="+token, "", "") // it is no websocket
	r.wantStatus(200, "GET", "/machines", token, "")
	raw := string(r.wantStatus(200, "GET", "/audit?limit=100", r.e.token, ""))
	var trail []audit.Record
	if err := model.Unmarshal([]byte(raw), &trail); err != nil || len(trail) == 0 {
		t.Fatal(err, raw)
	}
	if got := trail[0]; got.Path != apiRoot+"/ws" || got.Who != "user:alice" || got.Method != "GET" {
		t.Errorf("%+v", got)
	}
	if strings.Contains(raw, token) {
		t.Error("the token is in the trail")
	}
}
