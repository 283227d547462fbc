package endpoint

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"provision-plugins/endpoint/audit"
	"provision-plugins/endpoint/rekey"
	"provision-plugins/shared/model"
)

const (
	// RequestHeader names a request in its reply, in the log and in the audit
	// trail.
	RequestHeader = "X-Request-Id"
	// maxFields bounds how many fields of a body a record names, maxFieldName
	// the length of each.
	maxFields    = 50
	maxFieldName = 100
	// maxEventName bounds the name of an event in a record.
	maxEventName = 200
	// defaultAudit is how many records a listing has that does not say.
	defaultAudit, maxAudit = 100, 1000
)

// openTrail continues the audit trail.
func (e *Endpoint) openTrail(ctx context.Context) error {
	key, err := rekey.AuditKey(e.store, e.master)
	if err == nil {
		e.trail, err = audit.Open(ctx, e.store, key, e.now)
	}
	return err
}

// recorded writes a request into the audit trail before anything is done about
// it, if it asks for a change, for a token or for secrets. The answer to a
// request that cannot be recorded is that nothing was done.
func (a *api) recorded(w http.ResponseWriter, r *http.Request, who caller, denied *model.Error) error {
	_, pattern := a.lookup(r)
	if a.trail == nil || !auditable(r, pattern) || a.onlyReads(r, pattern) {
		return nil
	}
	rec := audit.Record{
		ID: w.Header().Get(RequestHeader), Who: who.name, Via: who.via, Token: who.token, From: r.RemoteAddr,
		Method: r.Method, Path: oneLine(r.URL.Path), Denied: denied != nil,
	}
	if _, local := r.Context().Value(peerKey{}).(caller); local {
		rec.From = "socket"
	}
	for _, n := range needsOf(pattern, pathValues(pattern, r.URL.EscapedPath()), r.URL.Query()) {
		n.Specific = a.specific(n)
		rec.Needs = append(rec.Needs, oneLine(n.String()))
	}
	if denied == nil && isJSON(r, pattern) {
		if err := readBody(w, r, boundOf(pattern)); err != nil {
			return err
		}
		raw := body(r)
		if len(raw) > 0 {
			rec.Fields, rec.Digest = fieldsOf(raw), a.trail.Digest(raw)
			rec.Event = eventOf(pattern, raw)
		}
	}
	return a.trail.Write(r.Context(), rec)
}

// auditable reports whether a request is one for the trail.
func auditable(r *http.Request, pattern string) bool {
	switch {
	case pattern == "/" || pattern == "":
		return false
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return true
	}
	return pattern == "GET "+apiRoot+backupPath || decode(r) || r.URL.Query().Get("token") != "" || strings.HasSuffix(pattern, "/users/{key}/token")
}

// onlyReads reports whether a request is for an action that changes nothing,
// whichever plugin takes it.
func (a *api) onlyReads(r *http.Request, pattern string) bool {
	if pattern == readsPattern {
		return r.URL.Query().Get("token") == ""
	}
	if !strings.HasSuffix(pattern, "/actions/{command}") || r.URL.Query().Get("token") != "" {
		return false
	}
	command := pathValues(pattern, r.URL.EscapedPath())["command"]
	prefix, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, apiRoot+"/"), "/")
	for _, of := range a.actions.sup.offers(prefix, command) {
		if model.ActionOf(command, of.provider.Meta).Class != model.Read {
			return false
		}
	}
	return model.ActionOf(command, nil).Class == model.Read
}

// isJSON reports whether a request's body is read whole by the route: not an
// upload, nor what goes on to a plugin.
func isJSON(r *http.Request, pattern string) bool {
	return !strings.Contains(pattern, apisRoot) && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/octet-stream")
}

// fieldsOf names the fields of a body, or the paths of a patch: what was to be
// changed, and not to what.
func fieldsOf(raw []byte) []string {
	var object map[string]json.RawMessage
	var patch []struct{ Op, Path string }
	var names []string
	switch {
	case json.Unmarshal(raw, &object) == nil:
		names = slices.Sorted(maps.Keys(object))
	case json.Unmarshal(raw, &patch) == nil:
		for _, op := range patch {
			if op.Op != "test" {
				names = append(names, op.Path)
			}
		}
	}
	names = names[:min(len(names), maxFields)]
	for i, name := range names {
		names[i] = oneLine(strings.ToValidUTF8(name[:min(len(name), maxFieldName)], ""))
	}
	return names
}

// eventOf names the event that a request posts: what a plugin says that people
// asked for, and what was decided, is in the trail by it.
func eventOf(pattern string, raw []byte) string {
	var e struct{ Type, Action, Key string }
	if pattern != "POST "+apiRoot+"/events" || json.Unmarshal(raw, &e) != nil {
		return ""
	}
	name := e.Type + "." + e.Action + "." + e.Key
	return oneLine(strings.ToValidUTF8(name[:min(len(name), maxEventName)], ""))
}

// auditRoutes are those of the audit trail.
func (a *api) auditRoutes() []route {
	return []route{
		{"GET /audit", a.listAudit},
		{"GET /audit/check", func(r *http.Request) (*reply, error) {
			check := a.trail.NewCheck()
			err := a.objects.store.ScanAudit(r.Context(), check.Take)
			return ok(check.Verdict), err
		}},
	}
}

// listAudit lists the newest records, newest first.
func (a *api) listAudit(r *http.Request) (*reply, error) {
	limit := defaultAudit
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxAudit {
			return nil, model.Errorf(model.Invalid, "limit=%q: want a number from 1 to %d", text, maxAudit)
		}
		limit = n
	}
	out := []audit.Record{}
	_, seq, err := a.objects.store.LastAudit(r.Context())
	for seq++; err == nil && len(out) < limit; {
		var raw []byte
		if raw, seq, err = a.objects.store.AuditBefore(r.Context(), seq); err != nil || raw == nil {
			break
		}
		var batch audit.Batch
		if err = model.Unmarshal(raw, &batch); err != nil {
			break
		}
		slices.Reverse(batch.Records)
		out = append(out, batch.Records...)
	}
	return ok(out[:min(limit, len(out))]), err
}
