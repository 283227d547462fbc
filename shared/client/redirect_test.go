package client

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"provision-plugins/shared/model"
)

// TestRedirectIsNotFollowed: the token goes to the endpoint only, and nothing is
// executed by whoever a redirect names, not even on the same host.
func TestRedirectIsNotFollowed(t *testing.T) {
	var asked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, status)
		}))
		for name, call := range map[string]func() error{
			"get":  func() error { return c.Get(t.Context(), "machines", nil) },
			"post": func() error { return c.Post(t.Context(), "machines", 1, nil) },
		} {
			if err := call(); model.AsError(err).Code != status {
				t.Errorf("%s: %v, want the redirect itself, %d", name, err, status)
			}
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests followed a redirect", n)
	}
}
