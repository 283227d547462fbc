package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/gorilla/websocket"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// fakeEndpoint is as much of an endpoint as the life of devices asks for: machines
// with their params, and the event stream.
type fakeEndpoint struct {
	*httptest.Server

	mu       sync.Mutex // guards the below
	machines map[string]*model.Machine
	order    []string
	seq      int
	conns    []*websocket.Conn
	patterns int
	asked    map[string]int // requests by "METHOD what"
	hold     chan struct{}  // patches wait for its end; nil for none
	global   model.Params   // params of a profile that every machine has
	fails    int            // status of every list of machines; 0 for none
}

// newEndpoint starts one.
func newEndpoint(t testing.TB) *fakeEndpoint {
	e := &fakeEndpoint{machines: map[string]*model.Machine{}, asked: map[string]int{}, global: model.Params{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v3/ws", e.stream)
	mux.HandleFunc("GET /api/v3/machines", e.list)
	mux.HandleFunc("POST /api/v3/machines", e.create)
	mux.HandleFunc("GET /api/v3/machines/{id}", e.one(func(m *model.Machine, _ *http.Request) any { return m }))
	mux.HandleFunc("GET /api/v3/machines/{id}/params", e.one(func(m *model.Machine, _ *http.Request) any { return e.params(m) }))
	mux.HandleFunc("GET /api/v3/machines/{id}/params/{name...}", e.one(func(m *model.Machine, r *http.Request) any { return e.params(m)[r.PathValue("name")] }))
	mux.HandleFunc("PATCH /api/v3/machines/{id}", e.patch)
	mux.HandleFunc("DELETE /api/v3/machines/{id}", e.remove)
	e.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		e.mu.Lock()
		for _, c := range e.conns {
			c.Close()
		}
		e.mu.Unlock()
		e.Server.Close()
	})
	return e
}

// client returns a client of it.
func (e *fakeEndpoint) client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Endpoint: e.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// params are those of a machine and of its profiles.
func (e *fakeEndpoint) params(m *model.Machine) model.Params {
	out := model.Params{}
	for _, from := range []model.Params{e.global, m.Params} {
		for name, v := range from {
			out[name] = v
		}
	}
	return out
}

// count counts a request.
func (e *fakeEndpoint) count(what string) {
	e.asked[what]++
}

// told is how often something was asked for.
func (e *fakeEndpoint) told(what string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[what]
}

// answer answers with JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who left gets no answer
}

// missing answers that there is no such machine.
func missing(w http.ResponseWriter, id string) {
	answer(w, 404, model.Errorf(model.NotFound, "Not Found").On("machines", id))
}

// one answers something of a machine.
func (e *fakeEndpoint) one(of func(*model.Machine, *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		what := "GET"
		if name := r.PathValue("name"); name != "" {
			what += " " + name
		}
		e.count(what)
		m := e.machines[r.PathValue("id")]
		if m == nil {
			missing(w, r.PathValue("id"))
			return
		}
		answer(w, 200, of(m, r))
	}
}

// list lists machines by filters of params.
func (e *fakeEndpoint) list(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count("LIST")
	if e.fails != 0 {
		answer(w, e.fails, model.Errorf(model.Internal, "no list"))
		return
	}
	out := []*model.Machine{}
	query := r.URL.Query()
	for _, id := range e.order {
		m, fits := e.machines[id], true
		for name, values := range query {
			if want, isEq := strings.CutPrefix(values[0], "Eq("); isEq {
				fits = fits && fmt.Sprint(e.params(m)[name]) == strings.TrimSuffix(want, ")")
			}
		}
		if fits {
			out = append(out, m)
		}
	}
	from, _ := strconv.Atoi(query.Get("offset"))
	out = out[min(from, len(out)):]
	if limit, err := strconv.Atoi(query.Get("limit")); err == nil {
		out = out[:min(limit, len(out))]
	}
	answer(w, 200, out)
}

// create adds a machine and tells of it.
func (e *fakeEndpoint) create(w http.ResponseWriter, r *http.Request) {
	var m model.Machine
	if err := model.Decode(r.Body, 1<<20, &m); err != nil {
		answer(w, 400, model.AsError(err))
		return
	}
	made, err := e.put(&m)
	if err != nil {
		answer(w, 409, err)
		return
	}
	e.tell("create", made)
	answer(w, 201, made)
}

// put keeps a machine.
func (e *fakeEndpoint) put(m *model.Machine) (*model.Machine, *model.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, have := range e.machines {
		if have.Name == m.Name {
			return nil, model.Errorf(model.Conflict, "already exists").On("machines", m.Name)
		}
	}
	if e.seq++; m.Uuid == "" {
		m.Uuid = fmt.Sprintf("00000000-0000-4000-8000-%012x", e.seq)
	}
	e.machines[m.Uuid] = m
	e.order = append(e.order, m.Uuid)
	out := *m
	return &out, nil
}

// add adds a machine of the plugin, with a profile of its own, and tells of it.
func (e *fakeEndpoint) add(t testing.TB, name string, params model.Params) *model.Machine {
	t.Helper()
	m := model.NewMachine(name)
	for param, v := range params {
		m.Params[param] = v
	}
	made, err := e.put(m)
	if err != nil {
		t.Fatal(err)
	}
	e.tell("create", made)
	return made
}

// patch changes a machine.
func (e *fakeEndpoint) patch(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e.mu.Lock()
	hold := e.hold
	e.count("PATCH")
	e.mu.Unlock()
	if hold != nil {
		<-hold
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.machines[r.PathValue("id")]
	if m == nil {
		missing(w, r.PathValue("id"))
		return
	}
	patch, err := jsonpatch.DecodePatch(raw)
	if err == nil {
		var doc []byte
		if doc, err = json.Marshal(m); err == nil {
			if doc, err = patch.Apply(doc); err == nil {
				m = &model.Machine{}
				err = model.Unmarshal(doc, m)
			}
		}
	}
	if err != nil {
		answer(w, 409, model.Errorf(model.Conflict, "%w", err))
		return
	}
	e.machines[m.Uuid] = m
	answer(w, 200, m)
}

// remove deletes a machine and tells of it.
func (e *fakeEndpoint) remove(w http.ResponseWriter, r *http.Request) {
	m := e.drop(r.PathValue("id"))
	if m == nil {
		missing(w, r.PathValue("id"))
		return
	}
	answer(w, 200, m)
}

// drop deletes a machine, tells of it, and returns it.
func (e *fakeEndpoint) drop(id string) *model.Machine {
	e.mu.Lock()
	m := e.machines[id]
	delete(e.machines, id)
	for i, other := range e.order {
		if other == id {
			e.order = append(e.order[:i:i], e.order[i+1:]...)
			break
		}
	}
	e.mu.Unlock()
	if m != nil {
		e.tell("delete", m)
	}
	return m
}

// machine returns a machine as it is, nil if there is none.
func (e *fakeEndpoint) machine(id string) *model.Machine {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.machines[id]
	if m == nil {
		return nil
	}
	out := *m
	return &out
}

// all returns the machines.
func (e *fakeEndpoint) all() []*model.Machine {
	e.mu.Lock()
	ids := append([]string{}, e.order...)
	e.mu.Unlock()
	var out []*model.Machine
	for _, id := range ids {
		out = append(out, e.machine(id))
	}
	return out
}

// stream takes a subscriber.
func (e *fakeEndpoint) stream(w http.ResponseWriter, r *http.Request) {
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	e.mu.Lock()
	e.conns = append(e.conns, conn)
	e.mu.Unlock()
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return
		}
		e.mu.Lock()
		e.patterns++
		err = conn.WriteJSON(&model.Event{Type: "websocket", Action: "register", Key: strings.TrimPrefix(string(raw), "register ")})
		e.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// tell tells all subscribers of a machine.
func (e *fakeEndpoint) tell(action string, m *model.Machine) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.conns {
		_ = c.WriteJSON(&model.Event{Type: "machines", Action: action, Key: m.Uuid, Object: m}) // one that is gone is not told
	}
}
