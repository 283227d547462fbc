package endpoint

import (
	"fmt"
	"sync"
	"testing"
)

// Machines come, change and go while lists are read, waits wait and a stream
// listens: no answer blames the endpoint, and the stream tells of every machine
// that it came and went, in this order.
func TestWatchersWhileMachinesGo(t *testing.T) {
	r := start(t)
	const machines, rounds = 6, 5
	conn := r.dial()
	say(t, conn, "register machines.create,delete.*")
	var writers, readers sync.WaitGroup
	over := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				for _, path := range []string{"/machines?sort=Name&x=Gt(2)", "/machines?aggregate=true&Name=Re(^w)", fmt.Sprintf("/machines/Name:w%d", i%machines)} {
					resp, raw := r.askLocal("GET", path, "", "If-None-Match", "*", "Prefer", "wait=1")
					if resp.StatusCode != 200 && resp.StatusCode != 304 && resp.StatusCode != 404 {
						t.Errorf("%s: %d %s", path, resp.StatusCode, raw)
					}
				}
			}
		})
	}
	for w := range machines {
		writers.Go(func() {
			one := fmt.Sprintf("/machines/Name:w%d", w)
			for i := range rounds {
				for _, step := range []struct {
					method, path, body string
					status             int
				}{
					{"POST", "/machines", fmt.Sprintf(`{"Name":"w%d","Uuid":"00000000-0000-4000-8000-%012x"}`, w, w), 201},
					{"POST", one + "/params/x", fmt.Sprint(i), 200},
					{"DELETE", one, "", 200},
				} {
					if resp, raw := r.askLocal(step.method, step.path, step.body); resp.StatusCode != step.status {
						t.Errorf("%s %s: %d %s", step.method, step.path, resp.StatusCode, raw)
					}
				}
			}
		})
	}
	next := map[string]string{}
	for range 2 * machines * rounds {
		e := hear(t, conn)
		want := "create"
		if next[e.Key] != "" {
			want = next[e.Key]
		}
		if e.Action != want {
			t.Errorf("%s of %s, want %s", e.Action, e.Key, want)
		}
		next[e.Key] = map[string]string{"create": "delete", "delete": "create"}[e.Action]
	}
	writers.Wait()
	close(over)
	readers.Wait()
	if left := r.e.store.List("machines"); len(left) != 0 {
		t.Errorf("%d machines are left", len(left))
	}
}
