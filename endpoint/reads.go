package endpoint

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/endpoint/query"
	"provision-plugins/endpoint/sweep"
	"provision-plugins/shared/model"
)

const (
	// readsPattern is the route of reads of many machines.
	readsPattern = "POST " + apiRoot + "/reads"
	// maxReadKeys bounds the machines of one request.
	maxReadKeys = 100_000
	// defaultReads and maxReads bound how many of them are asked at once.
	defaultReads, maxReads = 64, 4096
	// silentAfter is when a machine gives up its place among those at work: one
	// that answers from near by does so sooner, also to a login, and those behind
	// a tenth that is silent are not to wait for it.
	silentAfter = 40 * time.Millisecond
	// lineDelay is how long a line may wait for those that come after it, to be
	// sent with them.
	lineDelay = 3 * time.Millisecond
	// aliveEvery is how often a client is told, by an empty line, that answers are
	// still waited for.
	aliveEvery = 5 * time.Second
)

// reads is a request for one action on many machines: one that changes nothing.
type reads struct {
	Command  string
	Plugin   string   // for all of them; empty: each one's own
	Machines []string // keys, answered in any order
	All      bool     // those that the query selects, in place of Machines
	Params   model.Params
	Parallel int
}

// readTarget is one of the machines of a request.
type readTarget struct {
	key string // as it is asked for
	// What a client is told that has not named it; nil for others.
	name, address json.RawMessage
}

// readLine is the answer for one machine.
type readLine struct {
	Key     string          // as it was asked for
	Name    json.RawMessage `json:",omitempty"`
	Address json.RawMessage `json:",omitempty"`
	Result  json.RawMessage `json:",omitempty"`
	Error   *model.Error    `json:",omitempty"`
	// RetryAfter is that of the error, in seconds.
	RetryAfter int `json:",omitempty"`
}

// parseReads reads a request.
func parseReads(raw []byte) (*reads, error) {
	in := &reads{}
	if err := model.Unmarshal(raw, in); err != nil {
		return nil, err
	}
	switch {
	case in.Command == "":
		return nil, model.Errorf(model.Invalid, "cannot read machines: no Command")
	case len(in.Machines) > maxReadKeys:
		return nil, model.Errorf(model.Invalid, "cannot read machines: %d are more than %d", len(in.Machines), maxReadKeys)
	case in.All && len(in.Machines) > 0:
		return nil, model.Errorf(model.Invalid, "cannot read machines: both All and Machines")
	case in.Parallel < 0 || in.Parallel > maxReads:
		return nil, model.Errorf(model.Invalid, "cannot read machines: Parallel must be 1..%d, not %d", maxReads, in.Parallel)
	case in.Parallel == 0:
		in.Parallel = defaultReads
	}
	return in, nil
}

// readTargets are the machines of a request. All of them are for those who may list
// them.
func (a *api) readTargets(r *http.Request, in *reads) ([]readTarget, error) {
	if !in.All {
		targets := make([]readTarget, len(in.Machines))
		for i, key := range in.Machines {
			targets[i].key = key
		}
		return targets, nil
	}
	need := auth.Need{Scope: "machines", Action: "list"}
	if who := callerOf(r.Context()); !who.may(need) {
		return nil, denied(who, need)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read the query: %w", err)
	}
	l, err := query.Parse(values)
	if err != nil {
		return nil, err
	}
	chosen, err := a.objects.chosen(a.objects.kinds.get("machines"), l)
	if err != nil {
		return nil, err
	}
	targets := make([]readTarget, len(chosen))
	for i, found := range chosen {
		targets[i].key = found.ID
		targets[i].name, _ = query.Member(found.Value, "Name")
		targets[i].address, _ = query.Member(found.Value, "Address")
	}
	return targets, nil
}

// readMachines answers a line for each of many machines, as they come. Each is
// asked as a single action is, and needs the same claim.
func (a *api) readMachines(w http.ResponseWriter, r *http.Request) {
	err := readBody(w, r, boundOf(readsPattern))
	var in *reads
	if err == nil {
		in, err = parseReads(body(r))
	}
	var targets []readTarget
	if err == nil {
		targets, err = a.readTargets(r, in)
	}
	if err != nil {
		a.write(w, r, failure(err))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	asks := invocation{
		prefix: "machines", command: in.Command, plugin: in.Plugin, body: in.Params,
		logLevel: cmp.Or(r.Header.Get("X-Log-Request"), a.objects.pref(prefPlugins)),
	}
	asks.asked = a.actions.askedFor(asks)
	lines := make(chan []byte, defaultReads)
	if in.All {
		lines <- fmt.Appendf(nil, "{\"Machines\":%d}\n", len(targets))
	}
	go func() { // ends with the machines, or with ctx
		defer close(lines)
		sweep.Sweep[readTarget]{
			Parallel: in.Parallel, Patience: silentAfter, Most: maxReads,
			Ask: func(t readTarget) []byte {
				one := asks
				one.key = t.key
				return a.readOne(ctx, one, t)
			},
		}.Run(ctx, targets, lines)
	}()
	if err := sendLines(w, lines); err != nil {
		a.log.Debug("cannot send answers of machines", "error", err)
	}
	cancel()
	for range lines { // until nothing is at work
	}
}

// readOne asks one machine and encodes the answer.
func (a *api) readOne(ctx context.Context, in invocation, t readTarget) []byte {
	line := readLine{Key: t.key, Name: t.name, Address: t.address}
	raw, err := a.askedOf(ctx, in)
	if err == nil && bytes.IndexByte(raw, '\n') < 0 && plainKey(t.key) {
		return t.resultLine(raw)
	}
	if err == nil {
		line.Result = raw
	} else {
		rep := failure(err)
		line.Error = rep.body.(*model.Error)
		line.Error.Code = rep.status
		if rep.status == http.StatusTooManyRequests { // as the header
			line.RetryAfter = int((max(line.Error.RetryAfter, defaultRetryAfter) + time.Second - 1) / time.Second)
		}
	}
	var out bytes.Buffer
	if err := model.Encode(&out, line); err != nil {
		a.log.Error("cannot encode an answer", "machine", in.key, "error", err)
		return nil // who asks sees that it was left out
	}
	return out.Bytes()
}

// plainKey reports whether a key is the same in quotes.
func plainKey(key string) bool {
	for _, c := range []byte(key) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != ':' && c != '.' {
			return false
		}
	}
	return true
}

// resultLine is the readLine of a result, which is JSON of one line as the key is
// plain: nearly every line is so, and is put together.
func (t *readTarget) resultLine(raw json.RawMessage) []byte {
	out := make([]byte, 0, len(t.key)+len(t.name)+len(t.address)+len(raw)+64)
	out = append(append(append(out, `{"Key":"`...), t.key...), '"')
	if t.name != nil {
		out = append(append(out, `,"Name":`...), t.name...)
	}
	if t.address != nil {
		out = append(append(out, `,"Address":`...), t.address...)
	}
	out = append(append(out, `,"Result":`...), raw...)
	return append(out, "}\n"...)
}

// askedOf runs one action that changes nothing, if the caller may.
func (a *api) askedOf(ctx context.Context, in invocation) (out json.RawMessage, err error) {
	defer func() {
		if v := recover(); v != nil {
			out, err = nil, a.panicked("reads/"+in.command, v)
		}
	}()
	need := auth.Need{Scope: in.prefix, Action: "action:" + in.command, Specific: in.key}
	need.Specific = a.specific(need)
	if who := callerOf(ctx); !who.may(need) {
		return nil, denied(who, need).On("", in.prefix+"/"+in.key+"/actions/"+in.command)
	}
	got, err := a.actions.invokeRead(ctx, in)
	if err != nil {
		return nil, err
	}
	return got.body, nil
}

// sendLines sends lines as they come, those of a moment together.
func sendLines(w http.ResponseWriter, lines <-chan []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	buf := bufio.NewWriterSize(w, 64<<10)
	flush := func() error {
		if err := control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		if err := buf.Flush(); err != nil {
			return err
		}
		return control.Flush()
	}
	if err := flush(); err != nil { // the header: whoever asks sees that this is answered
		return err
	}
	var due <-chan time.Time
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		select {
		case line, more := <-lines:
			if !more {
				return flush()
			}
			if len(line) > buf.Available() { // it is written through
				if err := control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
					return err
				}
			}
			if _, err := buf.Write(line); err != nil {
				return err
			}
			if due == nil {
				due = time.After(lineDelay)
			}
		case <-alive.C:
			if err := buf.WriteByte('\n'); err != nil {
				return err
			}
			if err := flush(); err != nil {
				return err
			}
		case <-due:
			due = nil
			if err := flush(); err != nil {
				return err
			}
		}
	}
}
