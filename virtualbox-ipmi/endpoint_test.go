package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// fakeEndpoint keeps machines, as far as the plugin asks an endpoint for them.
type fakeEndpoint struct {
	mu       sync.Mutex // guards all below
	machines map[string]*model.Machine
	refuse   bool // to make or change any
	asked    []string
}

// startEndpoint serves a fake endpoint and returns a client of it.
func startEndpoint(tb testing.TB) (*fakeEndpoint, *client.Client) {
	tb.Helper()
	e := &fakeEndpoint{machines: map[string]*model.Machine{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v3/machines", e.list)
	mux.HandleFunc("POST /api/v3/machines", e.create)
	mux.HandleFunc("GET /api/v3/machines/{id}/params", e.params)
	mux.HandleFunc("PATCH /api/v3/machines/{id}", e.patch)
	mux.HandleFunc("DELETE /api/v3/machines/{id}", e.remove)
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)
	c, err := client.New(client.Options{Endpoint: server.URL, Token: "t"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() }) // idle connections only
	return e, c
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller sees what is missing
}

// missing answers that there is no such machine.
func missing(w http.ResponseWriter) {
	answer(w, http.StatusNotFound, &model.Error{Type: "GET", Code: http.StatusNotFound, Messages: []string{"Not Found"}})
}

// list answers the machines whose virtualbox/id is the one asked for.
func (e *fakeEndpoint) list(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	filter := r.URL.Query().Get(paramID)
	out := []*model.Machine{}
	for _, m := range e.machines {
		if filter == "" || filter == fmt.Sprintf("Eq(%v)", m.Params[paramID]) {
			out = append(out, m)
		}
	}
	answer(w, http.StatusOK, out)
}

// create keeps a machine.
func (e *fakeEndpoint) create(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var m model.Machine
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || e.refuse {
		answer(w, http.StatusConflict, &model.Error{Type: "CREATE", Code: http.StatusConflict, Messages: []string{"already exists"}})
		return
	}
	if m.Uuid == "" {
		m.Uuid = newUUID()
	}
	e.machines[m.Uuid] = &m
	answer(w, http.StatusCreated, &m)
}

// params answers a machine's params.
func (e *fakeEndpoint) params(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.URL.RawQuery)
	m := e.machines[r.PathValue("id")]
	if m == nil {
		missing(w)
		return
	}
	answer(w, http.StatusOK, m.Params)
}

// patch changes params and addresses.
func (e *fakeEndpoint) patch(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.machines[r.PathValue("id")]
	var ops []client.Op
	if m == nil || e.refuse || json.NewDecoder(r.Body).Decode(&ops) != nil {
		missing(w)
		return
	}
	for _, op := range ops {
		name, param := strings.CutPrefix(op.Path, "/Params/")
		switch {
		case param:
			m.Params[strings.ReplaceAll(name, "~1", "/")] = op.Value
		case op.Path == "/HardwareAddrs":
			m.HardwareAddrs = nil
			for _, a := range op.Value.([]any) {
				m.HardwareAddrs = append(m.HardwareAddrs, a.(string))
			}
		}
	}
	answer(w, http.StatusOK, m)
}

// remove forgets a machine.
func (e *fakeEndpoint) remove(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id, err := url.PathUnescape(r.PathValue("id"))
	m := e.machines[id]
	if err != nil || m == nil {
		missing(w)
		return
	}
	delete(e.machines, id)
	answer(w, http.StatusOK, m)
}

// add keeps a machine as somebody made it and returns what its event would have.
func (e *fakeEndpoint) add(m *model.Machine) *model.Machine {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.machines[m.Uuid] = m
	return copied(m)
}

// get returns a machine, nil if there is none.
func (e *fakeEndpoint) get(id string) *model.Machine {
	e.mu.Lock()
	defer e.mu.Unlock()
	return copied(e.machines[id])
}

// all lists the machines.
func (e *fakeEndpoint) all() (out []*model.Machine) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.machines {
		out = append(out, copied(m))
	}
	return out
}

// refusing lets the endpoint refuse changes from now on.
func (e *fakeEndpoint) refusing(refuse bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refuse = refuse
}

// copied is a machine of its own.
func copied(m *model.Machine) *model.Machine {
	if m == nil {
		return nil
	}
	out := *m
	out.Params = model.Params{}
	for name, v := range m.Params {
		out.Params[name] = v
	}
	return &out
}
