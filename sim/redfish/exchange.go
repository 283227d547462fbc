package redfish

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// exchange is one request and what is found out about it.
type exchange struct {
	b    *BMC
	r    *http.Request
	now  time.Time
	path string         // without a slash at its end, and of the first system
	body map[string]any // nil if there is none, or none that can be read

	broken bool   // the body is no JSON object
	large  bool   // the body is larger than is read
	system int    // which computer system it is about
	op     string // its name, see Fault.On
	on     *resource
	id     string // of the member, if on is an item of a list
	action string // as "#ComputerSystem.Reset"
	fault  Fault
	who    *account // who asks, once that is known
}

// answer is what comes back.
type answer struct {
	status int
	header map[string]string
	body   any
	tag    bool // the body is a resource and has an entity tag
}

// carry finds out what is asked for, and does it. The lock is held.
func (x *exchange) carry() answer {
	if x.b.rate.over(x.now, x.b.fleet.opts.RateLimit) {
		a := x.fail(http.StatusTooManyRequests, msgBusy)
		a.header = map[string]string{"Retry-After": "1"}
		return a
	}
	if x.large {
		return x.fail(http.StatusRequestEntityTooLarge, msgMalformed)
	}
	if bad := x.authenticate(); bad != nil {
		return *bad
	}
	if x.on == nil || x.missing() {
		return x.fail(http.StatusNotFound, msgNotFound, x.r.URL.Path)
	}
	do, ok := methods[x.r.Method]
	if !ok {
		return x.wrongMethod()
	}
	if (x.r.Method == http.MethodPost || x.r.Method == http.MethodPatch) && x.broken {
		return x.fail(http.StatusBadRequest, msgMalformed)
	}
	return do(x)
}

// methods is what is done for each method of HTTP.
var methods = map[string]func(*exchange) answer{
	http.MethodGet:    (*exchange).get,
	http.MethodHead:   (*exchange).get,
	http.MethodPost:   (*exchange).post,
	http.MethodPatch:  (*exchange).patch,
	http.MethodDelete: (*exchange).remove,
}

// locate finds out which resource and operation a request is about.
func (x *exchange) locate() {
	st := x.b.fleet.store
	x.path, x.system = x.b.canonical(strings.TrimSuffix(x.r.URL.Path, "/"))
	if a, ok := st.actions[x.path]; ok {
		x.on, x.action = a.on, a.name
		x.op = "action"
		if do, known := actions[a.name]; known {
			x.op = do.op
		}
		return
	}
	x.on, x.id = st.at(x.path)
	x.op = strings.ToLower(x.r.Method) + " "
	switch {
	case x.on == nil:
		x.op += "nothing"
	case x.on.list == "session" && x.r.Method == http.MethodPost:
		x.op = "session open"
	case x.on.item == "session" && x.r.Method == http.MethodDelete:
		x.op = "session close"
	default:
		x.op += x.on.noun()
	}
}

// nouns is how the operations call resources of a type whose name is long.
var nouns = map[string]string{"ServiceRoot": "root", "ComputerSystem": "system", "LogEntry": "entry", "ManagerAccount": "account"}

// noun is how the operations on a resource call it: by its type, in small letters.
func (r *resource) noun() string {
	if r.item != "" {
		return r.item
	}
	if r.path == versions {
		return r.kind
	}
	name, _ := r.tree["@odata.type"].(string)
	name = name[strings.LastIndex(name, ".")+1:]
	name, many := strings.CutSuffix(name, "Collection")
	name = strings.ToLower(or(nouns[name], name))
	if many {
		name += " list"
	}
	return name
}

// missing reports whether there is no such resource at present.
func (x *exchange) missing() bool {
	if x.b.faults.NoSystems && strings.HasPrefix(x.path, root+"/Systems/") {
		return true
	}
	if x.on.item == "" {
		return false
	}
	_, found := lists[x.on.item].find(x.view(), x.id)
	return !found
}

// get answers a resource.
func (x *exchange) get() answer {
	if x.action != "" {
		return x.wrongMethod()
	}
	if x.on.item == "monitor" {
		return x.monitor()
	}
	return answer{status: http.StatusOK, body: x.view().show(x.on, x.id), tag: true}
}

// post carries out an action, or adds to a collection.
func (x *exchange) post() answer {
	if x.action != "" {
		if do, ok := actions[x.action]; ok {
			return do.run(x)
		}
		return x.fail(http.StatusNotImplemented, msgNotSupported, x.action)
	}
	if add := changes[x.on.list].add; add != nil {
		return add(x)
	}
	return x.wrongMethod()
}

// remove takes a member out of a collection.
func (x *exchange) remove() answer {
	if drop := changes[x.on.item].drop; drop != nil && x.action == "" {
		return drop(x)
	}
	return x.wrongMethod()
}

// wrongMethod refuses a method a resource does not have.
func (x *exchange) wrongMethod() answer {
	a := x.fail(http.StatusMethodNotAllowed, msgNotSupported, x.r.Method)
	a.header = map[string]string{"Allow": "GET, HEAD"}
	if x.action != "" {
		a.header["Allow"] = "POST"
	}
	return a
}

// run does what was asked for, once it is sure that it can be done: now, or by a
// task, or not at all with a BMC that lies.
func (x *exchange) run(name string, status int, do func()) answer {
	switch {
	case x.fault.Lies:
	case x.fault.Task:
		return x.start(name, do)
	default:
		x.b.did(name)
		do()
	}
	return x.success(status)
}

// actions is what is done for each action, and the name of its requests.
var actions = map[string]struct {
	op  string
	run func(*exchange) answer
}{
	"#ComputerSystem.Reset":                  {"reset", (*exchange).resetSystem},
	"#Manager.Reset":                         {"bmc reset", (*exchange).resetManager},
	"#LogService.ClearLog":                   {"clear log", (*exchange).clearLog},
	"#VirtualMedia.InsertMedia":              {"insert media", (*exchange).insertMedia},
	"#VirtualMedia.EjectMedia":               {"eject media", (*exchange).ejectMedia},
	"#HpeiLOVirtualMedia.InsertVirtualMedia": {"insert media", (*exchange).insertMedia},
	"#HpeiLOVirtualMedia.EjectVirtualMedia":  {"eject media", (*exchange).ejectMedia},
	"#OemManager.ImportSystemConfiguration":  {"import configuration", (*exchange).importConfiguration},
}

// shown is a value in a message.
func shown(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(raw)
}
