package endpoint

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
)

// dial opens an event stream on the unix socket.
func (r *rig) dial() *websocket.Conn {
	r.t.Helper()
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.e.Socket())
	}}
	conn, resp, err := d.DialContext(r.t.Context(), "ws://unix"+apiRoot+"/ws", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() }) // it may have ended by itself
	return conn
}

// say sends a command and returns the event that answers.
func say(t *testing.T, conn *websocket.Conn, text string) *model.Event {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return hear(t, conn)
}

// hear returns the next event.
func hear(t *testing.T, conn *websocket.Conn) *model.Event {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, raw, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	e := &model.Event{}
	if err := model.Unmarshal(raw, e); err != nil {
		t.Fatal(err)
	}
	return e
}

// name is an event in short.
func name(e *model.Event) string { return e.Type + "." + e.Action + "." + e.Key }

func TestEventsOfAnActionInOrder(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	r.put("state", "off")
	if _, err := r.act("m1", "powerstatus", nil); err != nil {
		t.Fatal(err)
	}
	conn := r.dial()
	for _, pattern := range []string{"runs.*.*", "machines.*." + uuid} {
		if e := say(t, conn, "register "+pattern); name(e) != "websocket.register."+pattern {
			t.Fatalf("ack %s", name(e))
		}
	}
	reply, err := r.act("m1", "poweron", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []*model.Event
	for range 4 {
		got = append(got, hear(t, conn))
	}
	for i, want := range []string{"runs.create." + reply.Run, "machines.poweron." + uuid, "runs.update." + reply.Run, "machines.power." + uuid} {
		if name(got[i]) != want {
			t.Errorf("event %d is %s, want %s", i, name(got[i]), want)
		}
		if got[i].Principal == "" || got[i].Time.IsZero() {
			t.Errorf("event %d: principal %q at %v", i, got[i].Principal, got[i].Time)
		}
	}
	var run, before model.Run
	var machine model.Machine
	var change model.PowerChange
	for i, out := range []any{&run, &machine, &before, &change} {
		from := got[i].Object
		if i == 2 {
			from = got[i].Original
		}
		if err := model.Remarshal(from, out); err != nil {
			t.Fatal(err)
		}
	}
	if run.State != model.RunSent || machine.Name != "m1" || before.State != model.RunSent {
		t.Errorf("run %+v, machine %s, before %s", run, machine.Name, before.State)
	}
	if change != (model.PowerChange{Name: "m1", Uuid: uuid, Was: model.StateOff, Power: model.StateOn, Raw: "is on"}) {
		t.Errorf("change %+v", change)
	}
	if machine.Params["toy/password"] != model.Masked {
		t.Errorf("the machine's secret is in the event: %v", machine.Params)
	}
}

func TestEventsOfObjects(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn := r.dial()
	say(t, conn, "register machines.create,update,save,delete.*")
	var m model.Machine
	if err := r.c.Post(t.Context(), "machines", json.RawMessage(`{"Name":"m1","Params":{"x/password":"pw-1234"}}`), &m); err != nil {
		t.Fatal(err)
	}
	if err := r.c.Post(t.Context(), "machines/Name:m1/params/x%2Fpassword", "pw-5678", nil); err != nil {
		t.Fatal(err)
	}
	if err := r.c.Patch(t.Context(), "machines/Name:m1", json.RawMessage(`[{"op":"replace","path":"/Description","value":"d"}]`), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.c.Delete(t.Context(), "machines/Name:m1", nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"create", "save", "update", "delete"} {
		e := hear(t, conn)
		raw, err := model.Marshal(e)
		if err != nil || name(e) != "machines."+want+"."+m.Uuid || strings.Contains(string(raw), "pw-") {
			t.Errorf("want %s, got %s, %v", want, raw, err)
		}
		if (e.Original != nil) != (want == "update" || want == "save") || e.Object == nil || !strings.HasPrefix(e.Principal, "user:") {
			t.Errorf("%s: original %v, principal %q", want, e.Original, e.Principal)
		}
	}
}

func TestStreamCommands(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn := r.dial()
	if e := say(t, conn, "register nonsense"); e.Type != "websocket" || e.Action != "error" || e.Object == nil {
		t.Errorf("answer to a bad pattern: %+v", e)
	}
	if e := say(t, conn, "sing aloud"); e.Type != "websocket" || e.Action != "error" {
		t.Errorf("answer to a bad command: %+v", e)
	}
	say(t, conn, `register things.happen.a\1b\2c\3d`)
	event := model.Event{Type: "things", Action: "happen", Key: "a.b,c*d", Object: map[string]any{"Params": map[string]any{"x/token": "tok-1234"}}}
	if err := r.c.Post(t.Context(), "events", event, nil); err != nil {
		t.Fatal(err)
	}
	e := hear(t, conn)
	if raw, err := model.Marshal(e); err != nil || e.Key != "a.b,c*d" || strings.Contains(string(raw), "tok-1234") || e.Principal == "" {
		t.Errorf("got %s, %v", raw, err)
	}
	if e := say(t, conn, `deregister things.happen.a\1b\2c\3d`); e.Action != "deregister" {
		t.Errorf("ack %+v", e)
	}
	if err := r.c.Post(t.Context(), "events", event, nil); err != nil {
		t.Fatal(err)
	}
	if e := say(t, conn, "register x.y.z"); e.Action != "register" {
		t.Errorf("an event came after deregister: %+v", e)
	}
	for _, bad := range []model.Event{{Type: "", Action: "x"}, {Type: "websocket", Action: "register"}, {Type: "x"}} {
		wantError(t, r.c.Post(t.Context(), "events", bad, nil), model.Invalid, "cannot publish event")
	}
	big := model.Event{Type: "x", Action: "y", Object: strings.Repeat("z", maxPluginEvent)}
	wantError(t, r.c.Post(t.Context(), "events", big, nil), model.Invalid, "larger than")
}

func TestAStreamWithAHugeFrameEnds(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn := r.dial()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", 2*maxFrame))); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("the stream goes on")
	}
}

func TestABrowserOfAnotherOriginGetsNoStream(t *testing.T) {
	t.Parallel()
	r := start(t)
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.e.Socket())
	}}
	conn, resp, err := d.DialContext(t.Context(), "ws://unix"+apiRoot+"/ws", map[string][]string{"Origin": {"https://evil.example"}})
	if err == nil {
		t.Fatal("opened", conn.Close())
	}
	if resp == nil || resp.StatusCode != 403 {
		t.Errorf("reply %v, %v", resp, err)
	}
}

// A client that was suspended does not read what it is sent.
func TestStopDoesNotWaitForAStreamThatIsNotRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.build()
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := r.dial()
	say(t, conn, "register bulk.*.*")
	filler := json.RawMessage(`"` + strings.Repeat("x", 32<<10) + `"`)
	for range 1_000 { // 32 MB: more than the sockets hold
		r.e.hub.Publish(&model.Event{Type: "bulk", Action: "x", Object: filler})
	}
	// Stop says so when it left somebody behind.
	if err := r.e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.build()
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := r.dial()
	say(t, conn, "register *.*.*")
	if err := r.e.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("ended with %v", err)
			}
			return
		}
	}
}

func TestRecentEvents(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, key := range []string{"1", "2", "3"} {
		if err := r.c.Post(t.Context(), "events", model.Event{Type: "t", Action: "a", Key: key}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var list []model.Event
	if err := r.c.Get(t.Context(), "events/recent?limit=2", &list); err != nil || len(list) != 2 || list[0].Key != "2" {
		t.Errorf("got %+v, %v", list, err)
	}
	wantError(t, r.c.Get(t.Context(), "events/recent?limit=many", nil), model.Invalid, "Limit")
}

func TestAListeningPluginGetsEverythingInOrder(t *testing.T) {
	t.Parallel()
	r := start(t, "toy", "listener")
	r.ready("listener")
	r.machine("m1", nil)
	reply, err := r.act("m1", "poweron", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	eventually(t, "published", func() bool {
		got = strings.Join(r.lines("published"), " ")
		return strings.Contains(got, "runs.update."+reply.Run)
	})
	if !(strings.Index(got, "runs.create.") < strings.Index(got, "machines.poweron.") && strings.Index(got, "machines.poweron.") < strings.Index(got, "runs.update.")) {
		t.Errorf("order: %s", got)
	}
}

// What happens while a listening plugin is away waits for it, and what happens
// while the endpoint stops still reaches it.
func TestAListeningPluginMissesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy", "listener")
	r.open()
	r.ready("toy")
	r.ready("listener")
	if err := r.c.Post(t.Context(), "plugins/listener/params/x", 1, nil); err != nil {
		t.Fatal(err)
	}
	r.install("listener", "listener") // replaced: the process is stopped and started
	if err := r.c.Post(t.Context(), "events", model.Event{Type: "t", Action: "a", Key: "meanwhile"}, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "published", func() bool { return strings.Contains(strings.Join(r.lines("published"), " "), "t.a.meanwhile") })
	if err := r.c.Post(t.Context(), "events", model.Event{Type: "t", Action: "a", Key: "last"}, nil); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if got := strings.Join(r.lines("published"), " "); !strings.Contains(got, "t.a.last") {
		t.Errorf("published: %s", got)
	}
}
