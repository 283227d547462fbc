package endpoint

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// TestBoundsOfBodies: all routes that are not named have the small one, and those
// that are exist.
func TestBoundsOfBodies(t *testing.T) {
	t.Parallel()
	a := &api{}
	there := map[string]bool{readsPattern: true}
	for _, row := range a.contentRoutes() {
		method, path, _ := strings.Cut(row.pattern, " ")
		there[method+" "+apiRoot+path] = true
	}
	for pattern := range largeBodies {
		if !there[pattern] {
			t.Errorf("%s is no route", pattern)
		}
	}
	for pattern, want := range map[string]int64{
		"POST " + apiRoot + "/machines": 1 << 20, "PATCH " + apiRoot + "/machines/{key}": 1 << 20, "POST " + apiRoot + "/events": 1 << 20, "": 1 << 20, "/": 1 << 20,
		"POST " + apiRoot + "/contents": 16 << 20, "PUT " + apiRoot + "/contents/{key}": 16 << 20, "POST " + apiRoot + "/reads": 16 << 20,
	} {
		if got := boundOf(pattern); got != want {
			t.Errorf("%q takes %d bytes, want %d", pattern, got, want)
		}
	}
}

// filled is a body of that many bytes which begins and ends so.
func filled(size int, begin, end string) string {
	return begin + strings.Repeat("x", size-len(begin)-len(end)) + end
}

// TestBodiesUpToTheBound: the last byte that is taken, and the first that is not, of
// bodies that say how large they are; the bound is named.
func TestBodiesUpToTheBound(t *testing.T) {
	t.Parallel()
	r := start(t)
	for size, status := range map[int]int{bodyBound: http.StatusCreated, bodyBound + 1: http.StatusRequestEntityTooLarge} {
		body := filled(size, fmt.Sprintf(`{"Name":"p%d","Description":"`, size), `"}`)
		resp, raw := r.askLocal("POST", "/profiles", body)
		if resp.StatusCode != status {
			t.Errorf("%d bytes: %d: %.200s", size, resp.StatusCode, raw)
		}
		if status != http.StatusCreated && !strings.Contains(string(raw), "larger than 1 MiB, which is 1048576 bytes") {
			t.Errorf("the bound is not named: %.200s", raw)
		}
	}
	if resp, raw := r.askLocal("POST", "/reads", filled(bodyBound+1, `{"Command":"powerstatus","Machines":["`, `"]}`)); resp.StatusCode == http.StatusRequestEntityTooLarge {
		t.Errorf("the keys of a fleet: %.200s", raw)
	}
	if resp, raw := r.askLocal("POST", "/contents", filled(bodyBound+1, `{"meta":{"Name":"`, `"}}`)); resp.StatusCode == http.StatusRequestEntityTooLarge {
		t.Errorf("a bundle: %.200s", raw)
	}
	for _, path := range []string{"/contents", "/reads"} {
		resp, raw := r.askLocal("POST", path, filled(model.MaxBody+1, `"`, `"`))
		if resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(raw), "larger than 16 MiB") {
			t.Errorf("%s: %d: %.200s", path, resp.StatusCode, raw)
		}
	}
}
