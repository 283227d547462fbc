package metal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packethost/packngo"
	"go.uber.org/goleak"

	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = model.Secret("not-a-real-key-4711")

// service starts a simulated API and returns it with a client.
func service(t testing.TB, o packet.Options) (*packet.Server, *Key) {
	t.Helper()
	if o.Accounts == nil {
		o.Accounts = []packet.Account{{Key: string(key)}}
	}
	s, err := packet.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{URL: s.URL(), Wait: 5 * time.Millisecond})
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return s, c.Key(key)
}

// answering starts an API that answers by a function, and returns a client.
func answering(t testing.TB, fn http.HandlerFunc) *Key {
	t.Helper()
	s := httptest.NewServer(fn)
	c := New(Options{URL: s.URL + "/metal/v1/", Try: time.Minute, Wait: 5 * time.Millisecond, Pages: 20})
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c.Key(key)
}

// says answers with a status and a body of a type.
func says(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

const (
	someID = "11111111-2222-4333-8444-555555555555"
	asJSON = "application/json"
)

// failed checks the error of a request.
func failed(t testing.TB, err error, kind model.Kind, texts ...string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind || model.KindOf(err) != kind {
		t.Errorf("%v is of kind %v, want %v", err, model.KindOf(err), kind)
		return &Error{}
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
	if strings.Contains(err.Error(), string(key)) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q shows the key, or has two lines", err)
	}
	return e
}

// Trap 1: without a final slash the last element of the address would be dropped.
func TestAddressEndsWithASlash(t *testing.T) {
	for text, want := range map[string]string{
		"https://h/metal/v1":            "https://h/metal/v1/",
		"https://h/metal/v1//":          "https://h/metal/v1/",
		" https://h ":                   "https://h/",
		"http://127.0.0.1:80/x":         "http://127.0.0.1:80/x/",
		"http://[::1]:80/x":             "http://[::1]:80/x/",
		"http://localhost/":             "http://localhost/",
		"":                              DeadURL,
		"http://h/":                     "",
		"http://127.evil.example/":      "",
		"https://me:secret@h/":          "",
		"https://h/?a=b":                "",
		"https://h/#a":                  "",
		"ftp://h/":                      "",
		"https:h":                       "",
		"h/metal/v1":                    "",
		"https://h:port/":               "",
		"https://h/\x7f":                "",
		"https://api.packet.net":        "https://api.packet.net/",
		"HTTPS://API.EQUINIX.COM/metal": "https://API.EQUINIX.COM/metal/",
	} {
		got, err := NormalizeURL(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
		if err != nil && (model.KindOf(err) != model.Invalid || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v", text, err)
		}
	}
	s, _ := service(t, packet.Options{})
	address, err := NormalizeURL(strings.TrimSuffix(s.URL(), "/"))
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{URL: address})
	defer c.Close()
	if _, err := c.Key(key).Device(t.Context(), s.Add("default", 1, packet.Device{})[0]); err != nil {
		t.Error(err)
	}
}

// Trap 2: packngo takes no context and has no timeout.
func TestCallsEndWithTheirContext(t *testing.T) {
	s, k := service(t, packet.Options{})
	id := s.Add("default", 1, packet.Device{})[0]
	s.SetFaults(packet.Fault{Times: packet.Always, Silent: true})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := k.Device(ctx, id)
		ended <- err
	}()
	for tick := time.NewTicker(time.Millisecond); s.Hits() == 0; {
		<-tick.C
	}
	cancel()
	err := <-ended
	var kind *model.Error
	over := func(err, cause error, says string) {
		t.Helper()
		if !errors.Is(err, cause) || errors.As(err, &kind) || model.KindOf(err) != model.Timeout || !strings.Contains(err.Error(), says) {
			t.Errorf("%v is not the end of the time", err)
		}
	}
	over(err, context.Canceled, "in time")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = k.Device(gone, id)
	over(err, context.Canceled, "before it was sent")
	over(k.Act(gone, id, Action{Type: "reboot"}), context.Canceled, "before it was sent")
	slow := New(Options{URL: s.URL(), Try: time.Second, Tries: 2}) // long enough for a slow machine to connect in
	defer slow.Close()
	before := s.Requests()
	_, err = slow.Key(key).Device(t.Context(), id)
	failed(t, err, model.Unreachable)
	if n := s.Requests() - before; n != 2 {
		t.Errorf("%d tries", n)
	}
	err = slow.Key(key).Act(t.Context(), id, Action{Type: "reboot"})
	failed(t, err, model.UnknownOutcome, "may have been executed")
}

// Trap 3: packngo writes to a field of its client; and a connection for each call
// would be closed after it. 64 calls at once share few connections (the race detector
// looks on).
func TestManyCallsAtOnceShareConnections(t *testing.T) {
	s, k := service(t, packet.Options{Latency: time.Millisecond})
	ids := s.Add("default", 64, packet.Device{})
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			for range 4 {
				if d, err := k.Device(t.Context(), id); err != nil || d.ID != id {
					t.Errorf("%v, %v", d, err)
				}
			}
		})
	}
	all.Wait()
	if n, peak := s.Connections(), s.PeakConnections(); n > 64 || peak > 20 || peak < 1 {
		t.Errorf("%d connections for 256 calls, %d at a time", n, peak)
	}
}

// Trap 4: pages are followed by hand, whatever next looks like, and their end is
// found.
func TestPagesByHand(t *testing.T) {
	s, k := service(t, packet.Options{})
	ids := s.Add("default", 250, packet.Device{})
	devices, err := k.Devices(t.Context(), s.ProjectID("default"), "")
	if err != nil || len(devices) != 250 || devices[249].ID != ids[249] {
		t.Fatalf("%d devices, %v", len(devices), err)
	}
	if s.Requests() != 3 || devices[0].Facility == nil || devices[0].Facility.Code != "ewr1" {
		t.Errorf("%d requests, %v", s.Requests(), devices[0].Facility)
	}
	for name, row := range map[string]struct {
		body  func(page string) string
		n     int
		error string
	}{
		"next with the prefix": {func(p string) string {
			if p == "1" {
				return `{"projects":[{"id":"a"}],"meta":{"next":{"href":"/metal/v1/projects?page=2"},"total":2}}`
			}
			return `{"projects":[{"id":"b"}],"meta":{"next":null,"total":2}}`
		}, 2, ""},
		"no meta":             {func(string) string { return `{"projects":[{"id":"a"}]}` }, 1, ""},
		"the same for ever":   {func(string) string { return `{"projects":[{"id":"a"}],"meta":{"next":{"href":"/x"}}}` }, 0, "do not end"},
		"shorter than told":   {func(string) string { return `{"projects":[{"id":"a"}],"meta":{"total":2,"last_page":1}}` }, 0, "shorter"},
		"a list of nothing":   {func(string) string { return `{"projects":[],"meta":{"total":0,"last_page":1}}` }, 0, ""},
		"no list":             {func(string) string { return `{"meta":{}}` }, 0, "not the API"},
		"a list that is none": {func(string) string { return `{"projects":{"a":1}}` }, 0, "cannot be read"},
		"pages without end": {func(p string) string {
			return `{"projects":[{"id":"` + p + `"}],"meta":{"current_page":` + p + `,"last_page":99999999}}`
		}, 0, "do not end"},
	} {
		var asked atomic.Int64
		k := answering(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			says(200, asJSON, row.body(r.URL.Query().Get("page")))(w, r)
		})
		got, err := k.Projects(t.Context())
		if len(got) != row.n || (err != nil) != (row.error != "") || err != nil && !strings.Contains(err.Error(), row.error) {
			t.Errorf("%s: %d projects, %v", name, len(got), err)
		}
		if asked.Load() > 21 {
			t.Errorf("%s: %d requests", name, asked.Load())
		}
	}
}

// Trap 5: errors are not always a list of texts, and not always JSON.
func TestErrorsInAllForms(t *testing.T) {
	for _, row := range []struct {
		status     int
		kind, body string
		want       model.Kind // of a read
		change     model.Kind // of an action
		says       string
		gone       bool
	}{
		{401, asJSON, `{"error":"Invalid authentication token"}`, model.DeviceAuth, model.DeviceAuth, "check packet/api-key", false},
		{403, asJSON, `{"errors":["You are not authorized to view this device"]}`, model.NotFound, model.NotFound, "gone", true},
		{403, asJSON, `{"error":"This key is read only"}`, model.DeviceAuth, model.DeviceAuth, "may not do this", false},
		{404, asJSON, `{"errors":["Not found"]}`, model.NotFound, model.NotFound, "Not found", true},
		{404, "text/html", `<html>`, model.NotFound, model.NotFound, "is packet/api-url right?", false},
		{409, asJSON, `{"error":"no"}`, model.Conflict, model.Conflict, "no", false},
		{410, asJSON, `{}`, model.NotFound, model.NotFound, "410 Gone", true},
		{422, asJSON, `{"errors":{"hostname":["can't be blank"]}}`, model.Invalid, model.Invalid, "hostname can't be blank", false},
		{422, asJSON, `{"errors":["Device must be powered on"]}`, model.Conflict, model.Conflict, "Device must be powered on", false},
		{422, asJSON, `{"errors":["Cannot delete a device while it is provisioning"]}`, model.Conflict, model.Conflict, "provisioning", false},
		{422, asJSON, `{"errors":["Plan is not valid","x"]}`, model.Invalid, model.Invalid, "Plan is not valid, x", false},
		{429, asJSON, `{"error":"Too many requests"}`, model.RateLimited, model.RateLimited, "Too many", false},
		{500, asJSON, `{"error":"Oh snap"}`, model.Unreachable, model.UnknownOutcome, "Oh snap", false},
		{502, "text/html", `<html>bad</html>`, model.Unreachable, model.UnknownOutcome, "502 Bad Gateway", false},
		{503, asJSON, ``, model.Unreachable, model.UnknownOutcome, "503", false},
		{501, asJSON, `{}`, model.Unsupported, model.Unsupported, "501", false},
		{418, asJSON, `[1]`, model.Invalid, model.Invalid, "418", false},
		{302, "text/html", ``, model.Invalid, model.Invalid, "set packet/api-url", false},
	} {
		k := answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "0")
			w.Header().Set("Location", "https://elsewhere.example/")
			says(row.status, row.kind, row.body)(w, r)
		})
		_, err := k.Device(t.Context(), someID)
		e := failed(t, err, row.want, row.says)
		if e.Status != row.status || e.Gone != row.gone || IsGone(err) != row.gone {
			t.Errorf("%d: %+v", row.status, e)
		}
		e = failed(t, k.Act(t.Context(), someID, Action{Type: "reboot"}), row.change, row.says)
		if MaybeDone(e) != (row.change == model.UnknownOutcome) {
			t.Errorf("%d: %v may have been done: %t", row.status, e, MaybeDone(e))
		}
		_, err = k.Project(t.Context(), someID)
		if IsGone(err) {
			t.Errorf("a project is no device: %v", err)
		}
	}
}

// Answers that are none, although their status is good.
func TestAnswersThatAreNone(t *testing.T) {
	for name, row := range map[string]struct {
		fn   http.HandlerFunc
		says string
	}{
		"a page":       {says(200, "text/html", "<html>"), "is packet/api-url right?"},
		"cut off":      {says(200, asJSON, `{"id":"`), "ends in its middle"},
		"not a device": {says(200, asJSON, `{"id":7}`), "cannot be read"},
		"too long":     {says(200, asJSON, `{"id":"`+strings.Repeat("x", maxAnswer)+`"}`), "longer"},
	} {
		k := answering(t, row.fn)
		_, err := k.Device(t.Context(), someID)
		if e := failed(t, err, model.Unreachable, row.says); name == "a page" && e.Retry {
			t.Errorf("%s is tried again", name)
		}
		_, err = k.Create(t.Context(), &packngo.DeviceCreateRequest{ProjectID: someID})
		failed(t, err, model.UnknownOutcome, "it was executed, as it seems")
	}
}

// Trap 6: packngo tries nothing again, and ignores Retry-After.
func TestReadsAreTriedAgain(t *testing.T) {
	s, k := service(t, packet.Options{})
	id := s.Add("default", 1, packet.Device{})[0]
	for _, faults := range [][]packet.Fault{
		{packet.Oops("get", 1), packet.BadGateway("get", 1)},
		{packet.TooMany("get", 1, "0")},
		{{On: "get", Times: 2, LoseRequest: true}},
		{{On: "get", Times: 2, Truncate: true}},
	} {
		s.SetFaults(faults...)
		if _, err := k.Device(t.Context(), id); err != nil {
			t.Errorf("%+v: %v", faults, err)
		}
	}
	s.SetFaults(packet.Oops("get", packet.Always))
	before := s.Requests()
	_, err := k.Device(t.Context(), id)
	failed(t, err, model.Unreachable, "500", "Oh snap")
	if n := s.Requests() - before; n != 3 {
		t.Errorf("%d tries", n)
	}
	s.SetFaults(packet.Fault{On: "get", Times: packet.Always, Status: 401})
	before = s.Requests()
	_, err = k.Device(t.Context(), id)
	failed(t, err, model.DeviceAuth)
	if n := s.Requests() - before; n != 1 {
		t.Errorf("a refused key is tried %d times", n)
	}
}

// What changes something is sent once, whatever becomes of it.
func TestChangesAreSentOnce(t *testing.T) {
	s, k := service(t, packet.Options{})
	for _, row := range []struct {
		fault packet.Fault
		kind  model.Kind
		n     int
	}{
		{packet.Fault{LoseReply: true}, model.UnknownOutcome, 1},
		{packet.Fault{LoseRequest: true}, model.UnknownOutcome, 0},
		{packet.Oops("", 0), model.UnknownOutcome, 0},
		{packet.BadGateway("", 0), model.UnknownOutcome, 0},
		{packet.TooMany("", 0, "0"), model.RateLimited, 0},
	} {
		id := s.Add("default", 1, packet.Device{})[0]
		row.fault.On, row.fault.Times = "reboot", 1
		s.SetFaults(row.fault)
		before := s.Requests()
		failed(t, k.Act(t.Context(), id, Action{Type: "reboot"}), row.kind)
		if s.Executed(id, "reboot") != row.n || s.Requests()-before != 1 {
			t.Errorf("%+v: executed %d times by %d requests", row.fault, s.Executed(id, "reboot"), s.Requests()-before)
		}
	}
}

// The connection that rested too long is not taken for a lost request: nothing was
// written, and the next one takes another.
func TestNobodyListens(t *testing.T) {
	s, k := service(t, packet.Options{})
	id := s.Add("default", 1, packet.Device{})[0]
	s.Close()
	_, err := k.Device(t.Context(), id)
	failed(t, err, model.Unreachable, "cannot be reached", "check packet/api-url")
	failed(t, k.Act(t.Context(), id, Action{Type: "reboot"}), model.Unreachable)
}

// Trap 7: an id that is none is refused here, by the name of its param.
func TestIDsAreChecked(t *testing.T) {
	s, k := service(t, packet.Options{})
	for _, id := range []string{"", "x", someID + "/../..", strings.Repeat("a", 36)} {
		_, err := k.Device(t.Context(), id)
		_, err2 := k.Devices(t.Context(), id, "")
		_, err3 := k.Update(t.Context(), id, &packngo.DeviceUpdateRequest{})
		_, err4 := k.Events(t.Context(), id)
		_, err5 := k.Screenshot(t.Context(), id)
		_, err6 := k.Health(t.Context(), id)
		_, err7 := k.Create(t.Context(), &packngo.DeviceCreateRequest{ProjectID: id})
		_, err8 := k.Project(t.Context(), id)
		for i, err := range []error{err, err2, err3, err4, err5, err6, err7, err8, k.Delete(t.Context(), id), k.Act(t.Context(), id, Action{})} {
			if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), "param packet/") {
				t.Errorf("%q, %d: %v", id, i, err)
			}
		}
	}
	if s.Requests() != 0 {
		t.Errorf("%d requests", s.Requests())
	}
}

// Trap 8: what the service says of its end is not written to the standard log; and
// the connection is not closed after each call.
func TestHeadersOnTheWire(t *testing.T) {
	var seen http.Header
	k := answering(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.Header().Set("Sunset", "Tue, 30 Jun 2026 00:00:00 GMT")
		w.Header().Set("Deprecation", "true")
		says(200, asJSON, `{"id":"`+someID+`"}`)(w, r)
	})
	if _, err := k.Device(t.Context(), someID); err != nil {
		t.Fatal(err)
	}
	if seen.Get("X-Auth-Token") != string(key) || seen.Get("X-Consumer-Token") != consumer || seen.Get("Connection") != "" {
		t.Errorf("sent %v", seen)
	}
}

// The service that closed is named as closed, however it answers that it is not
// there.
func TestDeadService(t *testing.T) {
	for _, fn := range []http.HandlerFunc{says(404, asJSON, `{}`), says(410, "text/html", ""), nil} {
		k := answering(t, fn)
		if fn == nil {
			k.client.opts.URL = "http://127.0.0.1:1/"
		}
		k.client.dead = true
		_, err := k.Device(t.Context(), someID)
		if e := failed(t, err, model.Unreachable, "2026-06-30", "set packet/api-url"); e.Gone {
			t.Error("a device of a dead service is not gone")
		}
	}
	if !isDead(DeadURL) || !isDead("https://API.packet.net/") || isDead("https://metal.example/") || isDead("://") {
		t.Error("isDead")
	}
}

func TestRetryAfterInAllForms(t *testing.T) {
	now := time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		after, reset string
		want         time.Duration
	}{
		{"7", "", 7 * time.Second},
		{"0", "", 0},
		{"1.5", "", 1500 * time.Millisecond},
		{now.Add(9 * time.Second).Format(http.TimeFormat), "", 9 * time.Second},
		{now.Add(-9 * time.Second).Format(http.TimeFormat), "", 0},
		{"", "30", 30 * time.Second},
		{"", fmt.Sprint(now.Unix() + 11), 11 * time.Second},
		{"", fmt.Sprint(now.UnixMilli() + 12_000), 12 * time.Second},
		{"", now.Add(13 * time.Second).Format(time.RFC3339), 13 * time.Second},
		{"soon", "30", 30 * time.Second},
		{"", "", defaultHold},
		{"-5", "x", defaultHold},
		{"9999999", "", maxHold},
		{"1e300", "NaN", defaultHold},
	} {
		h := http.Header{"Retry-After": {row.after}}
		h.Set("X-RateLimit-Reset", row.reset)
		if got := retryAfter(h, now); got != row.want {
			t.Errorf("%q, %q: %v, want %v", row.after, row.reset, got, row.want)
		}
	}
}

// A key that made too many requests makes none until the API wants one; another key
// does not wait for it.
func TestBucketOfEachKey(t *testing.T) {
	s, _ := service(t, packet.Options{Accounts: []packet.Account{{Key: "one"}, {Key: "two"}}})
	id := s.Add("default", 1, packet.Device{})[0]
	c := New(Options{URL: s.URL(), Tries: 1, Burst: 2, Rate: 0.001})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s.SetFaults(packet.TooMany("get", 1, "3600"))
	_, err := c.Key("one").Device(ctx, id)
	if e := failed(t, err, model.RateLimited); e.RetryAfter != time.Hour {
		t.Errorf("after %v", e.RetryAfter)
	}
	before := s.Requests()
	_, err = c.Key("one").Device(ctx, id)
	var me *model.Error
	if e := failed(t, err, model.RateLimited, "too many requests with this key"); e.Sent || !errors.As(err, &me) || me.RetryAfter < 59*time.Minute {
		t.Errorf("%+v", e)
	}
	if s.Requests() != before {
		t.Error("it was sent")
	}
	for i, want := range []bool{true, true, false} {
		if _, err := c.Key("two").Device(ctx, id); (err == nil) != want {
			t.Errorf("request %d: %v", i, err)
		}
	}
	for i := range 2 * maxBuckets {
		c.buckets.of(model.Secret(fmt.Sprint(i)))
	}
	if n := len(c.buckets.all); n > maxBuckets {
		t.Errorf("%d buckets", n)
	}
}

func TestOtherCalls(t *testing.T) {
	s, k := service(t, packet.Options{})
	project := s.ProjectID("default")
	d, err := k.Create(t.Context(), &packngo.DeviceCreateRequest{ProjectID: project, Plan: "baremetal_0", Facility: []string{"ewr1"}, OS: CustomIPXE, Tags: []string{"mine"}})
	if err != nil {
		t.Fatal(err)
	}
	always := true
	if d, err = k.Update(t.Context(), d.ID, &packngo.DeviceUpdateRequest{AlwaysPXE: &always}); err != nil || !d.AlwaysPXE {
		t.Errorf("%v, %v", d, err)
	}
	if mine, err := k.Devices(t.Context(), project, "mine"); err != nil || len(mine) != 1 {
		t.Errorf("%v, %v", mine, err)
	}
	if none, err := k.Devices(t.Context(), project, "none"); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	events, err := k.Events(t.Context(), d.ID)
	if err != nil || len(events) != 6 || events[0].Type != "provisioning.109" {
		t.Errorf("%v, %v", events, err)
	}
	if health, err := k.Health(t.Context(), d.ID); err != nil || health != "ok" {
		t.Errorf("%v, %v", health, err)
	}
	if shot, err := k.Screenshot(t.Context(), d.ID); err != nil || shot.Type != "image/png" || len(shot.Data) == 0 {
		t.Errorf("%v, %v", shot, err)
	}
	if p, err := k.Project(t.Context(), project); err != nil || p.Name != "default" {
		t.Errorf("%v, %v", p, err)
	}
	if err := k.Act(t.Context(), d.ID, Action{Type: "reinstall", OperatingSystem: "debian_12", IPXEScriptURL: "http://x/y"}); err != nil {
		t.Error(err)
	}
	if got, _ := s.Device(d.ID); got.OS != "debian_12" || got.IPXEScriptURL != "http://x/y" {
		t.Errorf("%+v", got)
	}
	if err := k.Delete(t.Context(), d.ID); err != nil {
		t.Error(err)
	}
	if _, err := k.Device(t.Context(), d.ID); !IsGone(err) {
		t.Error(err)
	}
}

// FuzzProblem reads whatever an API says is wrong: one short line comes of it.
func FuzzProblem(f *testing.F) {
	f.Add([]byte(`{"errors":["a","b"]}`), asJSON)
	f.Add([]byte(`{"error":"a\nb"}`), asJSON)
	f.Add([]byte(`{"errors":{"a":[{"b":"c"}]},"error":7}`), asJSON)
	f.Add([]byte("<html>"), "text/html")
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		got := problemOf(body, kind)
		if strings.ContainsAny(got, "\n\r\x00") || len([]rune(got)) > maxSaid+1 {
			t.Errorf("%q", got)
		}
	})
}

// FuzzWait reads whatever an API says of when to come again.
func FuzzWait(f *testing.F) {
	for _, s := range []string{"7", "1e9", "1767322800", "1767322800000", "Tue, 30 Jun 2026 00:00:00 GMT", "-1", "NaN", "Inf"} {
		f.Add(s, s)
	}
	now := time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, after, reset string) {
		h := http.Header{"Retry-After": {after}, "X-Ratelimit-Reset": {reset}}
		if d := retryAfter(h, now); d < 0 || d > maxHold {
			t.Errorf("%q, %q: %v", after, reset, d)
		}
	})
}

// FuzzPage reads whatever an API gives for a page.
func FuzzPage(f *testing.F) {
	f.Add([]byte(`{"devices":[],"meta":{"next":{"href":"x"},"total":1,"last_page":2}}`))
	f.Add([]byte(`{"meta":null}`))
	f.Add([]byte(`{"meta":{"total":"x"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p page
		if err := p.UnmarshalJSON(raw); err == nil && p.more(1) && p.meta.Last <= 1 && p.meta.Next == nil {
			t.Errorf("%q has more", raw)
		}
	})
}

// FuzzURL checks addresses: what is taken is taken again as it is.
func FuzzURL(f *testing.F) {
	f.Add("https://h/metal/v1")
	f.Add("http://127.0.0.1:1")
	f.Add("https://h/%2f/..//")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := NormalizeURL(text)
		if err != nil {
			return
		}
		again, err := NormalizeURL(got)
		if err != nil || again != got || !strings.HasSuffix(got, "/") {
			t.Errorf("%q: %q, then %q, %v", text, got, again, err)
		}
	})
}

// The states are those that the simulator has, which shares no code with this.
func TestStatesAreTheSame(t *testing.T) {
	ours := []string{Queued, Provisioning, Deprovisioning, Reinstalling, Active, Inactive, Failed, PoweringOn, PoweringOff, Deleted}
	theirs := []string{packet.Queued, packet.Provisioning, packet.Deprovisioning, packet.Reinstalling, packet.Active, packet.Inactive, packet.Failed, packet.PoweringOn, packet.PoweringOff, packet.Deleted}
	if !slices.Equal(ours, theirs) {
		t.Errorf("%v, %v", ours, theirs)
	}
}
