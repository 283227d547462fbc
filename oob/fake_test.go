package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
)

// fake is an endpoint at wire level: it serves JSON files of a directory as
// its objects, answers actions as an object's Answers say, and keeps what it
// was asked to change.
type fake struct {
	socket, dir string
	server      *http.Server
	served      chan struct{} // closed when the server has ended
	noted       chan string   // what is noted, as far as there is room
	release     chan struct{} // lets one held answer go

	mu      sync.Mutex // guards what follows
	sent    []string
	created map[string][]map[string]any // by prefix
}

// canned is the answer to one action.
type canned struct {
	Status int
	Body   json.RawMessage
	Run    string
	Hang   bool // never answers
	Hold   bool // answers when it is released
}

// startFake serves dir on a unix socket.
func startFake(socket, dir string) (*fake, error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	f := &fake{socket: socket, dir: dir, served: make(chan struct{}), noted: make(chan string, 1), release: make(chan struct{}), created: map[string][]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v3/ws", f.stream)
	mux.HandleFunc("GET /api/v3/events/recent", f.list)
	mux.HandleFunc("GET /api/v3/{prefix}", f.list)
	mux.HandleFunc("GET /api/v3/{prefix}/{key...}", f.show)
	mux.HandleFunc("POST /api/v3/{prefix}/{key}/actions/{command}", f.action)
	mux.HandleFunc("POST /api/v3/reads", http.NotFound) // as endpoints that do not know it
	mux.HandleFunc("/api/v3/", f.change)
	f.server = &http.Server{Handler: mux}
	go func() {
		defer close(f.served)
		_ = f.server.Serve(ln)
	}()
	return f, nil
}

// close ends the server.
func (f *fake) close() {
	f.server.Close()
	<-f.served
}

// note keeps a line of what was asked.
func (f *fake) note(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, line)
	select {
	case f.noted <- line:
	default:
	}
}

// takeSent returns what was asked since the last time, sorted.
func (f *fake) takeSent() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.sent)
	lines := ""
	for _, line := range f.sent {
		lines += line + "\n"
	}
	f.sent = nil
	return lines
}

// reply answers JSON.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = model.Encode(w, body)
}

// objects reads the file of a prefix, if there is one, and adds what was
// created.
func (f *fake) objects(prefix string) ([]map[string]any, error) {
	list := []map[string]any{}
	raw, err := os.ReadFile(filepath.Join(f.dir, prefix+".json"))
	if err == nil {
		err = model.Unmarshal(raw, &list)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(list, f.created[prefix]...), err
}

// list serves the objects of a prefix that the query selects. Some files are
// served as they are: power.json is a map.
func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	prefix := r.PathValue("prefix")
	switch prefix {
	case "":
		prefix = "events"
	case "power", "info":
		raw, err := os.ReadFile(filepath.Join(f.dir, prefix+".json"))
		if err != nil {
			raw = []byte("{}")
		}
		_, _ = w.Write(raw)
		return
	}
	list, err := f.objects(prefix)
	if err != nil {
		reply(w, 500, model.Errorf(model.Internal, "fake: %s: %w", prefix, err))
		return
	}
	list = slices.DeleteFunc(list, func(object map[string]any) bool {
		for field, values := range r.URL.Query() {
			if !selects(object, field, values[0]) {
				return true
			}
		}
		return false
	})
	for _, object := range list {
		shorten(object, r.URL.Query())
	}
	reply(w, 200, list)
}

// shorten leaves out of an object what a query does without.
func shorten(object map[string]any, query url.Values) {
	for field := range strings.SplitSeq(query.Get("slim"), ",") {
		delete(object, field)
	}
	if params, ok := object["Params"].(map[string]any); ok && query.Has("params") {
		maps.DeleteFunc(params, func(name string, _ any) bool {
			return !slices.Contains(strings.Split(query.Get("params"), ","), name)
		})
	}
}

// selects reports whether a filter selects an object.
func selects(object map[string]any, field, value string) bool {
	if field == "limit" || field == "slim" || field == "params" {
		return true
	}
	if pattern, ok := strings.CutPrefix(value, "Re("); ok {
		name, _ := object[field].(string)
		return regexp.MustCompile(strings.TrimSuffix(pattern, ")")).MatchString(name)
	}
	params, _ := object["Params"].(map[string]any)
	return object[field] == value || params[field] == value
}

// find finds an object by key or index.
func (f *fake) find(prefix, key string) map[string]any {
	list, _ := f.objects(prefix)
	name, byName := strings.CutPrefix(key, "Name:")
	for _, object := range list {
		for _, field := range []string{"Uuid", "ID", "Name"} {
			if object[field] == key || byName && field == "Name" && object[field] == name {
				return object
			}
		}
	}
	return nil
}

// show serves one object.
func (f *fake) show(w http.ResponseWriter, r *http.Request) {
	prefix, key := r.PathValue("prefix"), r.PathValue("key")
	if object := f.find(prefix, key); object != nil {
		reply(w, 200, object)
		return
	}
	reply(w, 404, &model.Error{Model: prefix, Key: key, Type: "GET", Messages: []string{"Not Found"}, Code: 404})
}

// action answers an action as the machine's Answers say.
func (f *fake) action(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	object := f.find(r.PathValue("prefix"), r.PathValue("key"))
	command := r.PathValue("command")
	if object == nil {
		reply(w, 404, &model.Error{Type: "POST", Messages: []string{"Not Found"}, Code: 404})
		return
	}
	line := object["Name"].(string) + " " + command
	if r.URL.RawQuery != "" {
		line += "?" + r.URL.RawQuery
	}
	f.note(line + " " + string(body))
	answers := map[string]canned{}
	_ = model.Remarshal(object["Answers"], &answers)
	c, ok := answers[command]
	if !ok {
		reply(w, 404, model.Errorf(model.NotFound, "Action %s on machines: Not Found", command).On("machines", r.PathValue("key")))
		return
	}
	if c.Hang {
		<-r.Context().Done()
		return
	}
	if c.Hold {
		select {
		case <-f.release:
		case <-r.Context().Done():
		}
	}
	if c.Run != "" {
		w.Header().Set("X-Oob-Run", c.Run)
	}
	if c.Status == 0 {
		c.Status = 200
	}
	reply(w, c.Status, c.Body)
}

// change notes any other request that changes something. Creating a machine
// whose name is taken is a conflict, and what says that it stays is not removed.
func (f *fake) change(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.Path, "/api/v3/")
	var object struct {
		Name   string
		Params json.RawMessage
	}
	if r.Method == http.MethodPost && json.Unmarshal(body, &object) == nil {
		if f.find(path, object.Name) != nil {
			reply(w, 409, model.Errorf(model.Conflict, "already exists").On(path, object.Name))
			return
		}
		body = []byte(object.Name + " " + string(object.Params))
		f.create(path, object.Name)
	}
	if prefix, key, _ := strings.Cut(path, "/"); r.Method == http.MethodDelete {
		if object := f.find(prefix, key); object != nil && object["Stays"] == true {
			reply(w, 500, model.Errorf(model.Internal, "it stays").On(prefix, key))
			return
		}
	}
	f.note(strings.TrimSpace(r.Method + " " + path + " " + string(body)))
	reply(w, 200, map[string]any{})
}

// create keeps an object that is well.
func (f *fake) create(prefix, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.created[prefix] = append(f.created[prefix], map[string]any{"Name": name, "Uuid": "uuid-of-" + name, "Available": true})
}

// stream serves the events of events.json to who has registered, then closes.
func (f *fake) stream(w http.ResponseWriter, r *http.Request) {
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	_, raw, err := conn.ReadMessage()
	if err != nil {
		return
	}
	f.note(string(raw))
	_ = conn.WriteJSON(model.Event{Type: "websocket", Action: "register"})
	list, _ := f.objects("events")
	for _, e := range list {
		_ = conn.WriteJSON(e)
	}
}
