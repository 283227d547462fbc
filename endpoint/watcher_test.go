package endpoint

import (
	"crypto/tls"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
)

// watch opens an event stream over https and asks for everything.
func (r *rig) watch(header http.Header, query string) *websocket.Conn {
	r.t.Helper()
	d := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, HandshakeTimeout: patience} //nolint:gosec // the test's own endpoint
	conn, resp, err := d.DialContext(r.t.Context(), "wss://"+r.e.Addr()+apiRoot+"/ws"+query, header)
	if err != nil {
		r.t.Fatalf("%v: %+v", err, resp)
	}
	if err := resp.Body.Close(); err != nil {
		r.t.Error(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() }) // the endpoint may have closed it first
	if ack := say(r.t.(*testing.T), conn, "register *.*.*"); ack.Type != "websocket" {
		r.t.Fatalf("told %+v", ack)
	}
	return conn
}

// bearer is the header of a token.
func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// next reads events from a stream until one is of the types.
func next(t *testing.T, conn *websocket.Conn, types ...string) model.Event {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		var e model.Event
		if err := conn.ReadJSON(&e); err != nil {
			t.Fatal(err)
		}
		for _, want := range types {
			if e.Type == want {
				return e
			}
		}
	}
}

// A caller sees the events of what it may get, on the stream and in the list of
// recent ones.
func TestEventsAreForThoseWhoMayGetTheObject(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/roles", r.e.token, `{"Name":"one","Claims":[{"scope":"events","action":"get,list","specific":"*"},{"scope":"machines","action":"get","specific":"`+referenceUUID+`"}]}`)
	r.user("viewer", "viewer")
	r.user("one", "one")
	viewer, one := r.watch(bearer(r.login("viewer", "")), ""), r.watch(nil, "?token="+r.login("one", ""))
	admin := r.watch(bearer(r.e.token), "")
	r.user("secretive")
	for _, body := range []string{`{"Name":"m1"}`, `{"Name":"m2","Uuid":"` + referenceUUID + `"}`} {
		r.wantStatus(201, "POST", "/machines", r.e.token, body)
	}
	if e := next(t, admin, "users", "machines"); e.Type != "users" || e.Key != "secretive" {
		t.Errorf("the admin sees %+v first", e)
	}
	if e := next(t, viewer, "users", "machines"); e.Type != "machines" {
		t.Errorf("a viewer sees %+v", e)
	}
	if e := next(t, one, "users", "machines"); e.Key != referenceUUID {
		t.Errorf("who may see one machine sees %+v", e)
	}
	var recent []model.Event
	if err := model.Unmarshal(r.wantStatus(200, "GET", "/events/recent?limit=100", r.login("one", ""), ""), &recent); err != nil || len(recent) == 0 {
		t.Fatalf("%v, %v", recent, err)
	}
	for _, e := range recent {
		if e.Type == "users" || e.Type == "machines" && e.Key != referenceUUID {
			t.Errorf("who may see one machine is listed %+v", e)
		}
	}
}

// A stream ends with the token it was opened with.
func TestStreamsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.user("viewer", "viewer")
	conn := r.watch(bearer(r.login("viewer", "")), "")
	r.wantStatus(200, "DELETE", "/users/viewer/tokens", r.e.token, "")
	closed := make(chan error, 1)
	go func() {
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				closed <- err
				return
			}
		}
	}()
	var err error
	eventually(t, "the end of the stream", func() bool {
		r.wantStatus(200, "POST", "/events", r.e.token, `{"Type":"tick","Action":"x","Key":"y"}`)
		select {
		case err = <-closed:
			return true
		default:
			return false
		}
	})
	var why *websocket.CloseError
	if !errors.As(err, &why) || why.Code != websocket.ClosePolicyViolation {
		t.Errorf("ended by %v", err)
	}
}
