package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// oldPlugin is a plugin as the reference's wrapper makes them, written from the
// protocol alone and with nothing of this project's: every line is posted before
// the answer, errors of config and publish are encoded twice, it ends before its
// answer to stop, takes params for granted, and logs what it gets.
type oldPlugin struct {
	dir   string
	http  *http.Client // to the endpoint's socket
	group atomic.Int64
	seq   atomic.Int64

	mu     sync.Mutex // guards config
	config map[string]any
}

// oldError is the reference's wire error.
type oldError struct {
	Model, Key, Type string
	Messages         []string
	Code             int
}

const oldContent = `
meta: {Name: old, Version: v1.2.3, Description: an old plugin}
sections:
  params:
    old/token: {Name: old/token, Description: secret, Secure: true, Schema: {type: string}}
    old/address: {Name: old/address, Description: where, Schema: {type: string}}
    old/password: {Name: old/password, Description: secret, Secure: true, Schema: {type: string}}
    old/port: {Name: old/port, Description: port, Schema: {type: integer, default: 623}}
    old/step: {Name: old/step, Description: step, Schema: {type: integer, default: 1}}
`

// oldAction is a row of the definition, its lists null where they are empty.
func oldAction(model, command string, required, optional []string) map[string]any {
	return map[string]any{"Provider": "", "Model": model, "Command": command, "RequiredParams": required, "OptionalParams": optional}
}

// oldDefinition is what define prints.
func oldDefinition() map[string]any {
	needs := []string{"old/address", "old/password"}
	return map[string]any{
		"Meta": nil, "Name": "old", "Version": "v1.2.3", "PluginVersion": 4, "AutoStart": false, "HasPublish": true,
		"AvailableActions": []any{
			oldAction("machines", "increment", needs, []string{"old/port", "old/step"}),
			oldAction("machines", "getPort", needs, []string{"old/port"}),
			oldAction("machines", "careless", needs, nil),
			oldAction("machines", "refuse", needs, nil),
			oldAction("machines", "die", needs, nil),
			oldAction("plugins", "getConfig", nil, nil),
			oldAction("freds", "greet", nil, nil),
			oldAction("", "incrstatus", nil, nil),
			oldAction("", "getSelf", nil, nil),
		},
		"RequiredParams": []string{"old/token"}, "OptionalParams": nil,
		"StoreObjects": map[string]any{
			"freds": map[string]any{}, "machines": map[string]any{}, "info": map[string]any{},
			"sizes": map[string]any{"width": map[string]any{"type": "integer", "isrequired": true}, "color": map[string]any{"type": "string"}},
		}, "Documentation": "", "Content": oldContent,
	}
}

// beOld is the main function of an old plugin.
func beOld() int {
	p := &oldPlugin{dir: os.Getenv(envDir)}
	args := append(os.Args[1:], "", "", "")
	switch args[0] {
	case "define":
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		if enc.Encode(oldDefinition()) != nil {
			return 1
		}
	case "unpack":
		if os.MkdirAll(args[1], 0o755) != nil || os.WriteFile(filepath.Join(args[1], "readme.txt"), []byte("old files"), 0o644) != nil {
			return 1
		}
	case "listen":
		p.listen(args[1], args[2])
	}
	return 0
}

// listen serves the protocol; nothing is bounded.
func (p *oldPlugin) listen(to, from string) {
	p.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", from)
	}}}
	_ = os.Remove(to)
	l, err := net.Listen("unix", to)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("READY!")
	log.Println("serving", to)
	log.Fatal(http.Serve(l, p))
}

// line posts a log line, and waits until it was taken.
func (p *oldPlugin) line(group int64, level, format string, args ...any) {
	p.post("log", map[string]any{
		"Group": group, "Seq": p.seq.Add(1), "Time": time.Now(), "Service": "old", "Principal": "", "Level": level, "File": "/go/src/old.go", "Line": 7,
		"Message": fmt.Sprintf(format, args...), "Data": nil, "IgnorePublish": false,
	})
}

// post sends something to the endpoint.
func (p *oldPlugin) post(what string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		return
	}
	if resp, err := p.http.Post("http://unix/api-server-plugin/v4/"+what, "application/json", bytes.NewReader(raw)); err == nil {
		_ = resp.Body.Close()
	}
}

// ServeHTTP answers one request.
func (p *oldPlugin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	group := p.group.Add(1)
	status := http.StatusOK
	defer func() {
		if cause := recover(); cause != nil {
			status = http.StatusInternalServerError
			p.answer(w, status, oldError{Key: r.URL.Path, Type: r.Method, Code: status,
				Messages: append([]string{fmt.Sprintf("Panic recovered: %v", cause), "Stack trace:"}, strings.Split(string(debug.Stack()), "\n")...)})
		}
	}()
	if token := r.Header.Get("X-Log-Token"); token != "" {
		p.line(group, "error", "Log token: %s", token)
	}
	if level := r.Header.Get("X-Log-Request"); level != "" {
		p.note("old-levels", level)
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	var reply any = oldError{Code: 200}
	switch r.URL.Path {
	case "/api-plugin/v4/config":
		status, reply = p.configure(group, body)
	case "/api-plugin/v4/stop":
		os.Exit(0)
	case "/api-plugin/v4/publish":
		p.note("old-events", fmt.Sprintf("%v.%v.%v", body["Type"], body["Action"], body["Key"]))
	case "/api-plugin/v4/action":
		status, reply = p.act(group, body)
	default:
		status = http.StatusNotFound
		reply = oldError{Key: r.URL.Path, Type: r.Method, Code: status}
	}
	p.line(group, "debug", "API: st: %d lt: 1ms m: %s %s", status, r.Method, r.URL.Path)
	p.answer(w, status, reply)
}

// answer writes a reply.
func (p *oldPlugin) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// note appends a line to a file of the test.
func (p *oldPlugin) note(file, line string) {
	if f, err := os.OpenFile(filepath.Join(p.dir, file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		_, _ = fmt.Fprintln(f, line)
		_ = f.Close()
	}
}

// configure keeps the params, and refuses a bad token with an error in an error.
func (p *oldPlugin) configure(group int64, params map[string]any) (int, any) {
	p.line(group, "info", "Received Config request: %v", params)
	raw, _ := json.Marshal(params)
	p.note("old-config", string(raw))
	if params["old/token"] == "bad-token" {
		inner, _ := json.Marshal(oldError{Model: "plugin", Key: "old", Type: "rpc", Messages: []string{"the token is no good"}, Code: 400})
		return 400, oldError{Messages: []string{string(inner)}, Code: 400}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config = params
	return 200, oldError{Code: 200}
}

// act executes an action.
func (p *oldPlugin) act(group int64, a map[string]any) (int, any) {
	params, _ := a["Params"].(map[string]any)
	p.line(group, "info", "Action: %v with %v", a["Command"], params)
	log.Println("doing", a["Command"], "with", params["old/password"])
	switch a["Command"] {
	case "increment":
		p.note("old-done", "increment")
		return 200, params["old/step"].(float64) + 1
	case "getPort":
		return 200, params["old/port"].(float64)
	case "careless":
		return 200, params["old/nobody-fills-this"].(float64)
	case "refuse":
		return 409, oldError{Model: "machines", Type: "rpc", Messages: []string{"not with " + fmt.Sprint(params["old/password"])}, Code: 409}
	case "die":
		os.Exit(2)
	case "greet":
		return 200, fmt.Sprint("hello ", a["Model"].(map[string]any)["Id"])
	case "incrstatus":
		return 200, "Success"
	case "getSelf":
		return 200, p.self()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return 200, p.config["Name"]
}

// self asks the endpoint for what the token may, and for its machines.
func (p *oldPlugin) self() any {
	api := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	status := func(method, path, body string) int {
		req, err := http.NewRequest(method, os.Getenv("RS_ENDPOINT")+"/api/v3/"+path, strings.NewReader(body))
		if err != nil {
			return 0
		}
		req.Header.Set("Authorization", "Bearer "+os.Getenv("RS_TOKEN"))
		req.Header.Set("Content-Type", "application/json")
		resp, err := api.Do(req)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	var listed []any
	if resp, err := p.http.Get("http://unix/api-server-plugin/v4/objects/machines"); err == nil {
		raw, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		_ = json.Unmarshal(raw, &listed)
	}
	p.post("publish", map[string]any{"Type": "old", "Action": "said", "Key": "k", "Object": map[string]any{"text": "the password is old-s3cr3t"}})
	return map[string]any{
		"read": status("GET", "machines", ""), "write": status("POST", "profiles", fmt.Sprintf(`{"Name":"by-old-%d"}`, time.Now().UnixNano())), "machines": len(listed),
	}
}
