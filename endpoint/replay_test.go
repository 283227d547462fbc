package endpoint

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
)

// The objects that the recorded requests name.
const (
	replayMachine = "3e7031fe-3062-45f1-835c-92541bc9cbd3"
	replayID      = "ep1" // given to --url-proxy
)

// recorded is one command line of the reference with the requests it makes.
type recorded struct {
	command  string
	requests []recordedRequest
}

// recordedRequest is one line of testdata/drpcli-requests.txt.
type recordedRequest struct {
	method, path, auth string
	header             http.Header
	body               string
}

var (
	requestLine = regexp.MustCompile(`^    ([A-Z]+) (\S+)  auth=(\w+)(?: +(\{'.*?'\}))?(?: +body=(.*))?$`)
	headerField = regexp.MustCompile(`'([^']+)': '([^']*)'`)
)

// readRecorded reads the recorded requests.
func readRecorded(t *testing.T) []recorded {
	t.Helper()
	f, err := os.Open("testdata/drpcli-requests.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []recorded
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimRight(lines.Text(), " ")
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			out = append(out, recorded{command: command})
			continue
		}
		if !strings.HasPrefix(line, "    ") {
			continue
		}
		m := requestLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("cannot read %q", line)
		}
		r := recordedRequest{method: m[1], path: m[2], auth: m[3], header: http.Header{}, body: strings.TrimSpace(m[5])}
		for _, h := range headerField.FindAllStringSubmatch(m[4], -1) {
			r.header.Set(h[1], h[2])
		}
		last := &out[len(out)-1]
		last.requests = append(last.requests, r)
	}
	return out
}

// replayBodies are the bodies that are cut in the recording, by their beginning.
var replayBodies = map[string]string{
	`"Name":"m2.local"`: `{"Validated":false,"Available":false,"Errors":null,"ReadOnly":false,"Meta":null,"Endpoint":"","Bundle":"","Partial":false,"Name":"m2.local","Description":"","Uuid":"","CurrentJob":"","Address":"","Stage":"","BootEnv":"","Profiles":null,"Params":null,"Tasks":null,"CurrentTask":0,"RetryTaskAttempt":0,"TaskErrorStacks":null,"Runnable":false,"Secret":"","OS":"","HardwareAddrs":null,"Workflow":"","Arch":"","Locked":false,"Context":"","Fingerprint":{"SSNHash":"","CSNHash":"","CloudInstanceID":"","SystemUUID":"","MemoryIds":null},"Pool":"","PoolAllocated":false,"PoolStatus":"","WorkflowComplete":false}`,
	`"Name":"m3"`:       `{"Validated":false,"Available":false,"Errors":null,"ReadOnly":false,"Meta":null,"Endpoint":"","Bundle":"","Partial":false,"Name":"m3","Description":"","Uuid":"","Params":{"x":1},"Profiles":null,"Tasks":null,"Arch":""}`,
	`"Name":"m4"`:       `{"Validated":false,"Errors":null,"Meta":null,"Name":"m4","Uuid":"","Params":null}`,
}

// shapes of answers: the keys that the reference's structs have, with the JSON
// type of each. Lists and maps of them are written [shape] and {shape}.
var replayShapes = map[string]string{
	"validation": "Validated:bool Available:bool Errors:list",
	"common":     "ReadOnly:bool Meta:map Endpoint:text Bundle:text",
	"machine": "validation common Partial:bool Name:text Description:text Uuid:text CurrentJob:text Address:text Stage:text BootEnv:text Profiles:list Params:map " +
		"Tasks:list CurrentTask:number RetryTaskAttempt:number TaskErrorStacks:list Runnable:bool Secret:text OS:text HardwareAddrs:list Workflow:text Arch:text " +
		"Locked:bool Context:text Fingerprint:map Pool:text PoolAllocated:bool PoolStatus:text WorkflowComplete:bool",
	"plugin":   "validation common Partial:bool Name:text Description:text Documentation:text Params:map Provider:text PluginErrors:list",
	"profile":  "validation common Partial:bool Name:text Description:text Documentation:text Params:map Profiles:list",
	"param":    "validation common Name:text Description:text Documentation:text Secure:bool Schema:map",
	"provider": "Meta:map Name:text Version:text PluginVersion:number AutoStart:bool HasPublish:bool AvailableActions:list RequiredParams:list OptionalParams:list StoreObjects:map Documentation:text",
	"action":   "Provider:text Model:text Command:text RequiredParams:list OptionalParams:list",
	"info": "arch:text os:text version:text id:text local_id:text ha_id:text api_port:number file_port:number secure_file_port:number dhcp_port:number binl_port:number " +
		"tftp_port:number tftp_enabled:bool dhcp_enabled:bool binl_enabled:bool prov_enabled:bool secure_prov_enabled:bool address:text server_hostname:text manager:bool " +
		"stats:list features:list scopes:map License:map errors:list ha_enabled:bool ha_virtual_address:text ha_is_active:bool ha_status:text ha_active_id:text " +
		"ha_passive_state:list ClusterState:map",
	"token":   "Token:text Info:map",
	"event":   "Time:text Type:text Action:text Key:text Principal:text Object:any Original:any",
	"line":    "Group:number Seq:number Time:text Service:text Principal:text Level:text File:text Line:number Message:text Data:list IgnorePublish:bool",
	"index":   "Type:text Unique:bool Unordered:bool Regex:bool",
	"upload":  "path:text size:number",
	"summary": "meta:map Counts:map Warnings:list",
	"content": "meta:map sections:map",
	"slim":    "validation ReadOnly:bool Endpoint:text Bundle:text Partial:bool Name:text Uuid:text",
}

// expected is what a recorded request is answered, by method and path.
type expected struct {
	request string // regular expression
	status  int
	shape   string // of replayShapes; or a JSON type
}

// expectations are tried in their order.
var expectations = []expected{
	{`^HEAD /api/v3/machines$`, 200, "head-list"},
	{`^HEAD /api/v3/machines/`, 200, "head"},
	{`^GET .*/api/v3/info$`, 200, "info"},
	{`^GET /api/v3/users/rocketskates/token`, 200, "token"},
	{`^GET /api/v3/ws$`, 101, "ws"},
	{`^GET /api/v3/machines(\?.*)?$`, 200, "[machine]"},
	{`^GET /api/v3/indexes/machines$`, 200, "{index}"},
	{`^POST /api/v3/machines$`, 201, "machine"},
	{`^(GET|PATCH|DELETE) /api/v3/machines/[^/]+$`, 200, "machine"},
	{`^(GET|POST|PATCH) /api/v3/machines/[^/]+/params(\?.*)?$`, 200, "map"},
	{`^(GET|POST|DELETE) /api/v3/(machines|profiles|plugins)/[^/]+/params/`, 200, "any"},
	{`^GET /api/v3/machines/[^/]+/pubkey$`, 200, "text"},
	{`^GET /api/v3/(machines/[^/]+|system)/actions(\?.*)?$`, 200, "[action]"},
	{`^GET /api/v3/(machines/[^/]+|system)/actions/`, 200, "action"},
	{`^POST /api/v3/(machines/[^/]+|plugins/[^/]+|system)/actions/`, 200, "any"},
	{`^(GET|PATCH) /api/v3/meta/machines/`, 200, "map"},
	{`^GET /api/v3/plugins$`, 200, "[plugin]"},
	{`^POST /api/v3/plugins$`, 201, "plugin"},
	{`^(GET|DELETE) /api/v3/plugins/[^/]+$`, 200, "plugin"},
	{`^GET /api/v3/plugin_providers$`, 200, "[provider]"},
	{`^GET /api/v3/plugin_providers/[^/]+/binary$`, 200, "binary"},
	{`^POST /api/v3/plugin_providers/`, 201, "upload"},
	{`^(GET|DELETE) /api/v3/plugin_providers/`, 200, "provider"},
	{`^GET /api/v3/contents$`, 200, "[summary]"},
	{`^POST /api/v3/contents(\?.*)?$`, 201, "summary"},
	{`^GET /api/v3/contents/`, 200, "content"},
	{`^DELETE /api/v3/contents/`, 200, "summary"},
	{`^GET /api/v3/params$`, 200, "[param]"},
	{`^GET /api/v3/params/`, 200, "param"},
	{`^POST /api/v3/profiles$`, 201, "profile"},
	{`^POST /api/v3/events$`, 200, "event"},
	{`^GET /api/v3/logs$`, 200, "[line]"},
	{`^(GET|POST) /api/v3/prefs$`, 200, "{text}"},
	{`^GET /api/v3/objects$`, 200, "list"},
}

// replayExceptions are requests that the recording made of a server that had
// something else, by command and request.
var replayExceptions = map[string]expected{
	"drpcli machines list --slim Params,Meta --params a,b --decode => exit 0|GET /api/v3/machines?decode=true&params=a%2Cb&slim=Params%2CMeta": {status: 200, shape: "[slim]"},
	// A provider is uploaded under its own name.
	"drpcli plugin_providers upload /run/comm/blob --replace-writable => exit 0|POST /api/v3/plugin_providers/blob?replaceWritable=true": {status: 409, shape: "error"},
	// There is no param of that name: the reference's answer to drpcli's question.
	"drpcli profiles set p1 param x to 1 => exit 0|GET /api/v3/params/x": {status: 404, shape: "error"},
	// There is no workflow of that name, and cannot be: it is too short.
	"drpcli prefs set defaultWorkflow x => exit 0|POST /api/v3/prefs": {status: 422, shape: "error"},
	// The value that was recorded is sealed to a key that was not this machine's.
	"drpcli machines set " + replayMachine + " param ipmi/password to hunter2 => exit 0|POST /api/v3/machines/" + replayMachine + "/params/ipmi/password": {status: 400, shape: "error"},
}

// drpContent is what of the content of the plugins the recorded requests name.
const drpContent = `
meta: {Name: ipmi, Version: v1.0.0, Description: as recorded}
sections:
  params:
    ipmi/address: {Name: ipmi/address, Description: where, Schema: {}}
    ipmi/username: {Name: ipmi/username, Description: who, Schema: {type: string}}
    ipmi/password: {Name: ipmi/password, Description: secret, Secure: true, Schema: {type: string}}
    ipmi/mode: {Name: ipmi/mode, Description: how, Schema: {type: string, default: ipmitool}}
    ipmi/identify-duration: {Name: ipmi/identify-duration, Description: how long, Schema: {type: integer, default: 60}}
    slack/bot-key: {Name: slack/bot-key, Description: key, Schema: {type: string}}
    packet/name: {Name: packet/name, Description: name, Schema: {type: string}}
`

// drpDefinition is what the toy that stands for the recorded plugins prints.
func drpDefinition() *model.PluginProvider {
	required, optional := []string{"ipmi/address"}, []string{"ipmi/identify-duration"}
	return &model.PluginProvider{
		Name: "ipmi", Version: "v1.0.0", PluginVersion: model.PluginVersion, Content: drpContent,
		AvailableActions: []model.AvailableAction{
			{Model: "machines", Command: "poweron", RequiredParams: required, OptionalParams: optional},
			{Model: "machines", Command: "identify", RequiredParams: required, OptionalParams: optional},
			{Model: "plugins", Command: "createVm", OptionalParams: []string{"packet/name"}},
			{Model: "", Command: "incrstatus"},
		},
	}
}

// replay is the state of a replay.
type replay struct {
	*rig
	tt    *testing.T
	token string // what GET /users/NAME/token answered last
}

// setup brings the objects that the recorded requests name into the state that
// their bodies expect.
func (r *replay) setup(command string) {
	r.t.Helper()
	ctx := r.t.Context()
	// What is not there need not go.
	_ = r.c.Delete(ctx, "machines/"+replayMachine, nil)
	for _, name := range []string{"m2.local", "m3", "m4"} {
		_ = r.c.Delete(ctx, "machines/Name:"+name, nil)
	}
	m := model.NewMachine("m1.local")
	m.Uuid, m.Params = replayMachine, model.Params{"ipmi/address": "192.0.2.1", "ipmi/username": "root", "ipmi/mode": "ipmitool"}
	switch {
	case strings.Contains(command, "meta set"):
		m.Meta = map[string]string{"color": "red"}
	case strings.Contains(command, " add ") && strings.Contains(command, " param "):
		m.Params = model.Params{"a": json.Number("1")}
	case strings.Contains(command, "--ref"):
		m.Params["ipmi/address"] = true
	}
	if err := r.c.Post(ctx, "machines", m, nil); err != nil {
		r.t.Fatal(err)
	}
	if strings.Contains(command, "profiles create p1") {
		_ = r.c.Delete(ctx, "profiles/p1", nil)
	} else {
		_ = r.c.Post(ctx, "profiles", json.RawMessage(`{"Name":"p1"}`), nil)
	}
	_ = r.c.Post(ctx, "workflows", json.RawMessage(`{"Name":"w1"}`), nil)
	r.setupPlugin(command)
	r.setupContents(command)
}

// setupPlugin brings the plugin ipmi into the state that a command expects.
func (r *replay) setupPlugin(command string) {
	r.t.Helper()
	ctx := r.t.Context()
	if strings.Contains(command, "plugins create") {
		_ = r.c.Delete(ctx, "plugins/ipmi", nil)
		return
	}
	if r.c.Get(ctx, "plugin_providers/ipmi", nil) != nil {
		r.install("ipmi", "drp")
	}
	r.provider("ipmi", stateLoaded)
	if r.c.Get(ctx, "plugins/ipmi", nil) != nil {
		if err := r.c.Post(ctx, "plugins", json.RawMessage(`{"Name":"ipmi","Provider":"ipmi"}`), nil); err != nil {
			r.t.Fatal(err)
		}
	}
	if strings.Contains(command, "action") {
		r.ready("ipmi")
	}
}

// setupContents brings the content that a command names into the state that it
// expects.
func (r *replay) setupContents(command string) {
	r.t.Helper()
	ctx := r.t.Context()
	if !strings.Contains(command, "contents") {
		return
	}
	for _, name := range []string{"x", "y"} {
		_ = r.c.Post(ctx, "contents", json.RawMessage(`{"meta":{"Name":"`+name+`","Version":"v1.0.0"},"sections":{}}`), nil)
	}
	_ = r.c.Delete(ctx, "contents/true", nil)
}

// send sends a recorded request over https.
func (r *replay) send(q recordedRequest) (*http.Response, []byte) {
	r.t.Helper()
	body := q.body
	if body == "BIN" {
		raw, err := os.ReadFile(r.install(".staged", "drp"))
		if err != nil {
			r.t.Fatal(err)
		}
		body = string(raw)
	} else if body != "" && !json.Valid([]byte(body)) {
		for part, whole := range replayBodies {
			if strings.Contains(body, part) {
				body = whole
			}
		}
	}
	req, err := http.NewRequestWithContext(r.t.Context(), q.method, "https://"+r.e.Addr()+q.path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header = q.header.Clone()
	req.Header.Set("Accept", "application/json")
	token := r.token
	if q.auth == "Basic" {
		password, err := os.ReadFile(r.opts.DataDir + "/" + passwordFile)
		if err != nil {
			r.t.Fatal(err)
		}
		req.SetBasicAuth("rocketskates", strings.TrimSpace(string(password)))
		token = ""
	}
	return r.do(req, token)
}

// TestEveryRequestOfTheReferenceClient sends each recorded request as it is and
// looks whether the answer is one that the reference client can decode.
func TestEveryRequestOfTheReferenceClient(t *testing.T) {
	t.Parallel()
	r := &replay{rig: newRig(t), tt: t}
	r.opts.Site = replayID
	r.install("ipmi", "drp")
	r.start()
	r.token = r.e.token
	r.provider("ipmi", stateLoaded)
	for _, one := range readRecorded(t) {
		r.setup(one.command)
		for _, q := range one.requests {
			want, known := expectationOf(one.command, q)
			if !known {
				t.Errorf("%s: nothing is expected of %s %s", one.command, q.method, q.path)
				continue
			}
			if want.shape == "ws" {
				r.stream(q)
				continue
			}
			resp, raw := r.send(q)
			if err := matchesReply(want, resp, raw); err != nil {
				t.Errorf("%s\n    %s %s: %v\n    %d %.300s", one.command, q.method, q.path, err, resp.StatusCode, raw)
			}
			if want.shape == "token" && resp.StatusCode == 200 {
				var got model.UserToken
				if err := json.Unmarshal(raw, &got); err != nil || got.Token == "" {
					t.Errorf("token %s: %v", raw, err)
				}
				r.token = got.Token
			}
		}
	}
	r.withDrpcli()
}

// expectationOf finds what a request is answered.
func expectationOf(command string, q recordedRequest) (expected, bool) {
	request := q.method + " " + q.path
	if e, ok := replayExceptions[command+"|"+request]; ok {
		return e, true
	}
	plain, _, _ := strings.Cut(request, "?")
	for _, e := range expectations {
		re := regexp.MustCompile(e.request)
		if re.MatchString(request) || re.MatchString(plain) {
			return e, true
		}
	}
	return expected{}, false
}

// stream opens the recorded event stream and registers as the client does.
func (r *replay) stream(q recordedRequest) {
	r.t.Helper()
	conn := r.dial()
	if e := say(r.tt, conn, "register machines.*.*"); e.Type != "websocket" {
		r.tt.Errorf("%s: ack %s", q.path, name(e))
	}
	if err := conn.WriteMessage(websocket.CloseMessage, nil); err != nil {
		r.tt.Error(err)
	}
}

// matchesReply compares a reply with what is expected.
func matchesReply(want expected, resp *http.Response, raw []byte) error {
	if resp.StatusCode != want.status {
		return fmt.Errorf("status %d, want %d", resp.StatusCode, want.status)
	}
	if want.shape == "binary" {
		if len(raw) == 0 {
			return fmt.Errorf("nothing came")
		}
		return nil
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		return fmt.Errorf("Content-Type %q", got)
	}
	switch want.shape {
	case "head":
		if resp.Header.Get("ETag") == "" || len(raw) > 0 {
			return fmt.Errorf("ETag %q, body %q", resp.Header.Get("ETag"), raw)
		}
		return nil
	case "head-list":
		if resp.Header.Get("X-Drp-List-Filter-Count") == "" || len(raw) > 0 {
			return fmt.Errorf("count %q, body %q", resp.Header.Get("X-Drp-List-Filter-Count"), raw)
		}
		return nil
	case "error":
		return hasShape("Model:text Key:text Type:text Messages:list Code:number", raw)
	}
	return hasShape(want.shape, raw)
}

// hasShape reports what an answer lacks of a shape.
func hasShape(shape string, raw []byte) error {
	switch {
	case strings.HasPrefix(shape, "["):
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil || list == nil {
			return fmt.Errorf("no list: %w", err)
		}
		for _, one := range list {
			if err := hasShape(strings.Trim(shape, "[]"), one); err != nil {
				return err
			}
		}
		return nil
	case strings.HasPrefix(shape, "{"):
		var all map[string]json.RawMessage
		if err := json.Unmarshal(raw, &all); err != nil || len(all) == 0 {
			return fmt.Errorf("no map: %w", err)
		}
		for key, one := range all {
			if err := hasShape(strings.Trim(shape, "{}"), one); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
		return nil
	}
	if slices.Contains([]string{"any", "text", "map", "list"}, shape) {
		return hasType(shape, raw)
	}
	if keys, ok := replayShapes[shape]; ok {
		shape = keys
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return fmt.Errorf("no object: %w", err)
	}
	for _, word := range strings.Fields(shape) {
		key, is, typed := strings.Cut(word, ":")
		if !typed {
			if err := hasShape(word, raw); err != nil {
				return err
			}
			continue
		}
		value, ok := object[key]
		if !ok {
			return fmt.Errorf("no %s", key)
		}
		if err := hasType(is, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// hasType compares the type of a value.
func hasType(want string, raw []byte) error {
	var v any
	if err := model.Unmarshal(raw, &v); err != nil {
		return err
	}
	names := map[string]string{"bool": "a boolean", "text": "a string", "number": "a number", "list": "an array", "map": "an object"}
	if want != "any" && jsonType(v) != names[want] {
		return fmt.Errorf("%s, want a %s", jsonType(v), want)
	}
	return nil
}

// TestTheRecordedRequestsAreRead guards the test above against reading nothing.
func TestTheRecordedRequestsAreRead(t *testing.T) {
	t.Parallel()
	all := readRecorded(t)
	requests, bodies, headers := 0, 0, 0
	for _, one := range all {
		for _, q := range one.requests {
			requests++
			if q.body != "" {
				bodies++
			}
			if len(q.header) > 0 {
				headers++
			}
		}
	}
	if len(all) < 70 || requests < 90 || bodies < 25 || headers < 28 {
		t.Errorf("%d commands, %d requests, %d bodies, %d headers", len(all), requests, bodies, headers)
	}
}
