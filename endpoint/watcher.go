package endpoint

import (
	"net/http"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/model"
)

// lookAgain is how long a stream's caller is believed to be who it was.
const lookAgain = time.Second

// watcher decides which events the caller of a request sees. A stream may be
// open for days: its caller's rights, and whether it still has any, are looked
// up anew all the while.
type watcher struct {
	api    *api
	r      *http.Request
	who    caller
	looked time.Time
}

// newWatcher makes the watcher of a request.
func (a *api) newWatcher(r *http.Request) *watcher {
	return &watcher{api: a, r: r, who: callerOf(r.Context()), looked: time.Now()}
}

// sees reports whether the caller sees an event: one about an object that it
// may get.
func (w *watcher) sees(e *model.Event) bool {
	n := auth.Need{Scope: e.Type, Action: "get", Specific: e.Key}
	switch {
	case e.Type == "websocket":
		return true
	case e.Type == "log":
		n = auth.Need{Scope: "logs", Action: "get"}
	case e.Type != "runs" && w.api.objects.kinds.get(e.Type) == nil && e.Type != contentsPrefix: // of nobody's objects
		n = auth.Need{Scope: "events", Action: "get"}
	}
	return w.who.may(n)
}

// alive reports whether the caller may still have events: its token has neither
// ended nor been revoked.
func (w *watcher) alive() bool {
	if time.Since(w.looked) < lookAgain {
		return true
	}
	who, err := w.api.again(w.r)
	if err != nil || !who.may(auth.Need{Scope: "events", Action: "get"}) {
		return false
	}
	w.who, w.looked = who, time.Now()
	return true
}

// again tells who an earlier request is from, as things are now.
func (a *api) again(r *http.Request) (caller, error) {
	if who, ok := r.Context().Value(peerKey{}).(caller); ok {
		return who, nil
	}
	c := credentialsOf(r)
	if c.user == "" {
		return a.prove(r)
	}
	user, err := a.access.user(c.user) // the password was checked at the start
	if err != nil {
		return caller{}, err
	}
	return a.access.callerOf(user), nil
}

// visible are the events that the caller of a request sees.
func (a *api) visible(r *http.Request, all []*model.Event) []*model.Event {
	w := a.newWatcher(r)
	out := make([]*model.Event, 0, len(all))
	for _, e := range all {
		if w.sees(e) {
			out = append(out, e)
		}
	}
	return out
}
