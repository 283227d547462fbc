package plugin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin/mux"
)

// readClasses makes reads of what the twin does, but for increment.
const readClasses = `{"increment":"idempotent","panic-once":"once","incrstatus":"read","panic":"read","fail":"read","hang":"read","stuck":"read","wait":"read","echo":"read","unprintable":"read","nonesuch":"read"}`

// withReads declares them.
func withReads(r *rig) { r.program.def.Meta[model.MetaClasses] = readClasses }

// streaming is a Process of a rig that asks through the stream.
func (r *rig) streaming(t testing.TB) *Process {
	t.Helper()
	p := process(r.socket)
	p.options.ReadStream = true
	t.Cleanup(p.stream.end)
	t.Cleanup(p.resting.close)
	return p
}

// streamed reports whether a process has a stream open.
func (p *Process) streamed() bool {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	return p.stream.asker != nil
}

// secretAction is an action with secrets in it.
func secretAction(command string) *model.Action {
	return &model.Action{
		Command: command, Plugin: "x", Params: model.Params{"incrementer/step": 3, "incrementer/pin": "pin-0815"},
		Model: map[string]any{"Name": "m1", "Uuid": "u1", "Params": map[string]any{"ipmi/password": "hunter23"}},
	}
}

// What comes through the stream is what comes by a request, of results and of
// errors, asked once or again.
func TestStreamAnswersAsRequests(t *testing.T) {
	r := newRig(t, withReads)
	plain, stream := process(r.socket), r.streaming(t)
	t.Cleanup(plain.resting.close)
	for _, command := range []string{"incrstatus", "echo", "fail", "unprintable", "nonesuch"} {
		a := secretAction(command)
		want, wantErr := plain.Ask(t.Context(), a)
		q, err := NewQuestion(a)
		if err != nil {
			t.Fatal(err)
		}
		for n, ask := range []func() ([]byte, error){
			func() ([]byte, error) { return stream.Ask(t.Context(), a) },
			func() ([]byte, error) { return stream.AskAgain(t.Context(), q) },
			func() ([]byte, error) { return stream.AskAgain(t.Context(), q) },
		} {
			got, err := ask()
			if string(got) != string(want) || (err == nil) != (wantErr == nil) {
				t.Errorf("%s (%d): %s, %v; by a request %s, %v", command, n, got, err, want, wantErr)
			}
			if err == nil {
				continue
			}
			e, w := model.AsError(err), model.AsError(wantErr)
			if e.Error() != w.Error() || e.Code != w.Code || e.RetryAfter != w.RetryAfter || e.Type != w.Type || strings.Contains(err.Error(), "pin-0815") {
				t.Errorf("%s (%d): %+v; by a request %+v", command, n, e, w)
			}
		}
	}
	if !stream.streamed() || plain.streamed() {
		t.Error("not through the stream")
	}
}

// Nothing but what changes nothing is done through a stream.
func TestStreamRefusesChanges(t *testing.T) {
	r := newRig(t, withReads)
	p := r.streaming(t)
	for _, command := range []string{"increment", "panic-once", "poweron", "powercycle", ""} {
		_, err := p.Ask(t.Context(), secretAction(command))
		checkError(t, err, model.Invalid, "it is no action that changes nothing")
	}
	if n := r.twin.counts["u1"]; n != 0 || len(r.twin.counts) > 0 {
		t.Errorf("counted %v", r.twin.counts)
	}
}

func TestStreamOfAPanickingPlugin(t *testing.T) {
	r := newRig(t, withReads)
	p := r.streaming(t)
	_, err := p.Ask(t.Context(), secretAction("panic"))
	checkError(t, err, model.Internal, "internal error", "the plugin's log tells more")
	if got, err := p.Ask(t.Context(), secretAction("incrstatus")); err != nil || string(got) != `"Running"` {
		t.Errorf("afterwards %s, %v", got, err)
	}
	r.stop()
	r.awaitEnd(t)
	if log := r.host.messages(); !strings.Contains(log, "pin ******") || strings.Contains(log, "pin-0815") || strings.Contains(log, "hunter23") {
		t.Errorf("log:\n%s", log)
	}
}

// Bodies that are no action are answered as by a request.
func TestStreamOfMalformedActions(t *testing.T) {
	r := newRig(t, withReads)
	asker, err := openReads(t.Context(), r.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	for _, body := range []string{"{", "[]", `"x"`, "null", "{}", `{"Command":7}`, `{"Command":"incrstatus"}{}`, strings.Repeat("[", 20000), "\x00", "x"} {
		q, err := mux.NewQuestion([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := asker.Ask(t.Context(), q, true)
			if e := decodeError(t, string(got.Body)); err != nil || got.Status != 400 || e.Code != 400 {
				t.Errorf("%.40q: %d %s, %v", body, got.Status, got.Body, err)
			}
		}
	}
}

// No more are at work than may be; the others are told so.
func TestStreamIsCapped(t *testing.T) {
	option, said := withWitness(t)
	r := newRig(t, option, withReads, func(r *rig) { r.program.timing.maxActions = 2 })
	p := r.streaming(t)
	done := make(chan error, 2)
	for range 2 {
		go func() { _, err := p.Ask(t.Context(), secretAction("wait")); done <- err }()
		r.awaitAction(t, said, "wait")
	}
	_, err := p.Ask(t.Context(), secretAction("incrstatus"))
	checkError(t, err, model.Busy, "2 requests are running already")
	if e := model.AsError(err); e.RetryAfter != time.Second {
		t.Errorf("try again after %v", e.RetryAfter)
	}
	close(r.twin.holder("m1"))
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Who goes away has what was asked given up, and nothing else.
func TestStreamEndsWithItsContext(t *testing.T) {
	option, said := withWitness(t)
	r := newRig(t, option, withReads)
	p := r.streaming(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := p.Ask(ctx, secretAction("hang")); done <- err }()
	r.awaitAction(t, said, "hang")
	cancel()
	checkError(t, <-done, model.UnknownOutcome, "the connection was lost before the answer: context canceled")
	for n := r.gateOf(t, p); n > 0; n = r.gateOf(t, p) {
	}
	_, err := p.Ask(ctx, secretAction("incrstatus"))
	checkError(t, err, model.Unreachable, "never sent")
}

// gateOf asks once more, and returns how many beside it are at work at most.
func (r *rig) gateOf(t testing.TB, p *Process) int {
	t.Helper()
	if _, err := p.Ask(t.Context(), secretAction("incrstatus")); err != nil {
		t.Fatal(err)
	}
	return int(r.twin.hanging.Load())
}

// A plugin that stops answers what it has taken, and takes nothing more.
func TestStreamOfAStoppingPlugin(t *testing.T) {
	option, said := withWitness(t)
	r := newRig(t, option, withReads)
	p := r.streaming(t)
	waiting := make(chan string, 1)
	go func() {
		got, err := p.Ask(t.Context(), secretAction("wait"))
		if err != nil {
			got = []byte(err.Error())
		}
		waiting <- string(got)
	}()
	r.awaitAction(t, said, "wait")
	r.stop() // Stop frees what waits
	if got := <-waiting; got != `"waited"` {
		t.Errorf("what was at work came to %s", got)
	}
	r.awaitEnd(t)
	_, err := p.Ask(t.Context(), secretAction("incrstatus"))
	if kind := model.KindOf(err); kind != model.Unreachable && kind != model.UnknownOutcome {
		t.Errorf("after the end: %v", err)
	}
}

// What does not heed its end does not keep the plugin.
func TestStreamOfAStuckAction(t *testing.T) {
	option, said := withWitness(t)
	r := newRig(t, option, withReads)
	t.Cleanup(func() { close(r.twin.stuck) })
	p := r.streaming(t)
	done := make(chan error, 1)
	go func() { _, err := p.Ask(t.Context(), secretAction("stuck")); done <- err }()
	r.awaitAction(t, said, "stuck")
	r.stop()
	r.awaitEnd(t)
	checkError(t, <-done, model.UnknownOutcome, "plugin fake was lost")
}

// A request whose log is followed is one of its own.
func TestTracedReadsGoAlone(t *testing.T) {
	r := newRig(t, withReads)
	p := r.streaming(t)
	for _, trace := range []Trace{{Token: "tok"}, {Level: "debug"}} {
		if _, err := p.Ask(WithTrace(t.Context(), trace), secretAction("incrstatus")); err != nil {
			t.Error(err)
		}
		if p.streamed() {
			t.Errorf("%+v went through the stream", trace)
		}
	}
	if _, err := p.Ask(WithTrace(t.Context(), Trace{}), secretAction("incrstatus")); err != nil || !p.streamed() {
		t.Errorf("not through the stream: %v", err)
	}
}

// A plugin that takes no stream is asked for one once.
func TestPluginsWithoutStream(t *testing.T) {
	for name, refusal := range map[string]string{
		"not found":  "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
		"as it came": ok200(2) + "{}",
		"another":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p, k := talking(t, func(_, n int64) string {
				if n == 1 {
					return refusal
				}
				return ok200(1) + "7"
			})
			p.options.ReadStream = true
			t.Cleanup(p.stream.end)
			for range 3 {
				if got, err := p.Ask(t.Context(), look); err != nil || string(got) != "7" {
					t.Errorf("%s, %v", got, err)
				}
			}
			if n := k.requests.Load(); n != 4 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// A plugin that is busy may take a stream later, and one that was lost is opened
// again.
func TestStreamIsOpenedAgain(t *testing.T) {
	p, k := talking(t, func(_, n int64) string {
		if n == 1 {
			return "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
		}
		if n%2 == 1 {
			return "" // an opening
		}
		return ok200(1) + "7"
	})
	p.options.ReadStream = true
	t.Cleanup(p.stream.end)
	for range 3 {
		if got, err := p.Ask(t.Context(), look); err != nil || string(got) != "7" {
			t.Errorf("%s, %v", got, err)
		}
	}
	if n := k.requests.Load(); n != 6 {
		t.Errorf("%d requests", n)
	}
}

// cutStream is a fake plugin whose streams end after so many questions, answered or
// not; requests are answered as long as it is there.
type cutStream struct {
	after            int
	streams, plainly atomic.Int64
}

// serve serves a connection.
func (c *cutStream) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	head, err := in.ReadString('\n')
	if err != nil {
		return
	}
	for line := head; line != "\r\n" && err == nil; {
		line, err = in.ReadString('\n')
	}
	if !strings.Contains(head, pathReads) {
		c.plainly.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n8")
		return
	}
	c.streams.Add(1)
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+readsProtocol+"\r\n\r\n")
	for range c.after {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		id, _, _ := strings.Cut(line, " ")
		_, _ = io.WriteString(conn, id+" 200 0 7\n")
	}
	_, _ = in.ReadString('\n')
}

// A stream that is lost costs a second try, by a request.
func TestALostStream(t *testing.T) {
	c := &cutStream{after: 2}
	p := process(fakePlugin(t, c.serve))
	p.options.ReadStream = true
	t.Cleanup(p.stream.end)
	t.Cleanup(p.resting.close)
	for n, want := range []string{"7", "7", "8", "7", "7", "8"} {
		if got, err := p.Ask(t.Context(), look); err != nil || string(got) != want {
			t.Errorf("the answer to %d is %s, %v, want %s", n, got, err, want)
		}
	}
	if c.streams.Load() != 2 || c.plainly.Load() != 2 {
		t.Errorf("%d streams, %d requests", c.streams.Load(), c.plainly.Load())
	}
	// With the plugin gone, what was under way may have been seen; what comes after
	// was not.
	for range 2 {
		if _, err := p.Ask(t.Context(), look); err != nil {
			t.Fatal(err)
		}
	}
	p.socket += "x"
	_, err := p.Ask(t.Context(), look)
	checkError(t, err, model.UnknownOutcome, "cannot tell whether powerstatus was executed", "the connection was lost before the answer")
	_, err = p.Ask(t.Context(), look)
	checkError(t, err, model.Unreachable, "never sent")
	close(p.done)
	q, err := NewQuestion(look)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.AskAgain(t.Context(), q)
	checkError(t, err, model.Unreachable, "never sent", "its process has ended")
}

// A stream that nobody uses is closed, and opened again when there is something to
// ask.
func TestAnIdleStreamIsClosed(t *testing.T) {
	r := newRig(t, withReads)
	p := r.streaming(t)
	for range 2 {
		if _, err := p.Ask(t.Context(), secretAction("incrstatus")); err != nil || !p.streamed() {
			t.Fatal(err)
		}
		p.stream.closeIdle()
		if !p.streamed() || p.stream.rest == nil {
			t.Error("one in use is closed, or not looked at again")
		}
		p.stream.mu.Lock()
		p.stream.idleFor = time.Nanosecond
		p.stream.mu.Unlock()
		p.stream.closeIdle()
		if p.streamed() {
			t.Error("it is open")
		}
		p.stream.idleFor = 0
	}
	p.stream.end()
	if _, err := p.Ask(t.Context(), secretAction("incrstatus")); err != nil || p.streamed() {
		t.Errorf("a stream was opened after the end; %v", err)
	}
}

// What is no request for a stream is none.
func TestStreamsAreAskedForByName(t *testing.T) {
	r := newRig(t, withReads)
	for _, c := range []struct {
		headers []string
		status  int
		text    string
	}{
		{nil, 400, "must be upgraded to " + readsProtocol},
		{[]string{"Connection", "Upgrade", "Upgrade", "websocket"}, 400, "must be upgraded"},
		{[]string{"Connection", "Upgrade", "Upgrade", "oob-reads/2"}, 400, "must be upgraded"},
	} {
		if status, body := r.post(t, pathReads, "{}", c.headers...); status != c.status || !strings.Contains(body, c.text) {
			t.Errorf("%v: %d %s", c.headers, status, body)
		}
	}
	if status, _, _ := send(t, r.client, "GET", pathReads, ""); status != 404 {
		t.Errorf("GET: %d", status)
	}
	if def := newProgram("x", "v1", &model.PluginProvider{}, &plain{}).def; def.Meta[model.MetaReadStream] != "" {
		t.Error("a plugin without actions takes reads")
	}
	if def := twinDefinition(); newProgram("x", "v1", def, newTwin()).def.Meta[model.MetaReadStream] != "true" || def.Meta[model.MetaReadStream] != "" {
		t.Error("a plugin with actions takes none, or its own definition was changed")
	}
}

// preparing is a twin that prepares its reads.
type preparing struct {
	*twin
	prepared, performed atomic.Int64
}

// PrepareRead prepares a read, fails, or panics.
func (p *preparing) PrepareRead(a *model.Action) (func(context.Context) (any, error), error) {
	p.prepared.Add(1)
	switch a.Command {
	case "fail":
		return nil, model.Errorf(model.Unsupported, "cannot prepare pin %s", pinOf(a, &model.Machine{}))
	case "panic":
		panic("unprepared")
	}
	return func(context.Context) (any, error) { return p.performed.Add(1), nil }, nil
}

// An action is prepared once, however often it is asked for.
func TestPreparedReads(t *testing.T) {
	var impl *preparing
	r := newRig(t, withReads, func(r *rig) {
		impl = &preparing{twin: r.twin}
		r.program.impl = impl
	})
	p := r.streaming(t)
	q, err := NewQuestion(secretAction("incrstatus"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.AskAgain(t.Context(), q); err != nil { // which opens the stream
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for range 50 {
		work.Go(func() {
			if _, err := p.AskAgain(t.Context(), q); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if impl.performed.Load() != 51 || impl.prepared.Load() != 1 {
		t.Errorf("prepared %d times, performed %d", impl.prepared.Load(), impl.performed.Load())
	}
	for range 2 {
		_, err = p.Ask(t.Context(), secretAction("fail"))
		checkError(t, err, model.Unsupported, "cannot prepare pin ******")
		_, err = p.Ask(t.Context(), secretAction("panic"))
		checkError(t, err, model.Internal, "internal error")
	}
}

// FuzzReadStream has a plugin serve any bytes as a stream of reads.
func FuzzReadStream(f *testing.F) {
	for _, text := range []string{"1 0 {\"Command\":\"incrstatus\"}\n", "1 1 {}\n2 1\n3\n", "\n", "1\n", "x", "1 4096 {\"Command\":\"echo\",\"Model\":{\"Params\":{\"a\":1e400}}}\n"} {
		f.Add([]byte(text))
	}
	twin := newTwin()
	p := newProgram("incrementer", "v1", twinDefinition(), twin)
	p.def.Meta[model.MetaClasses] = `{"incrstatus":"read","echo":"read"}`
	f.Fuzz(func(t *testing.T, raw []byte) {
		if strings.Contains(strings.ToLower(string(raw)), "panic") || strings.Contains(string(raw), "\\u") {
			return // it would be logged
		}
		queue := newLogQueue(t.Context(), "incrementer", func(context.Context, *model.Line) error { return nil })
		s := newServer(p, newLineHandler(queue, "incrementer"), nil)
		near, far := net.Pipe()
		stream := mux.Serve(s.actions, far, far, s.prepareRead)
		answered := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, near)
			answered <- err
		}()
		_, _ = near.Write(raw) // until it is refused
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		stream.Close(ctx)
		if err := <-answered; err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		_ = near.Close()
		queue.close(ctx)
	})
}
