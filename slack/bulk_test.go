package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// A bulk operation on five thousand machines, told by many at once as a plugin is
// told, is counted to its end in one message.
func TestBulkOfThousands(t *testing.T) {
	const machines, callers = 5_000, 64
	sim, n := office(t, "")
	next := make(chan int)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := range next {
				name := fmt.Sprintf("m%04d", i)
				r := model.Run{
					ID: "r" + name, Key: "u" + name, Prefix: "machines", Name: name, Command: "poweron", Principal: "user:ada", State: model.RunDone,
					Created: time.Unix(1000, 0), Ended: time.Unix(1001, 0), Result: result(t, model.Result{Outcome: model.Verified, Power: model.StateOn}),
				}
				if err := n.Publish(t.Context(), &model.Event{Time: time.Unix(1001, int64(i)), Type: "runs", Action: "update", Key: r.ID, Object: r}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range machines {
		next <- i
	}
	close(next)
	all.Wait()
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	if m := sim.Messages(); len(m) != 1 || !strings.Contains(m[0].Text, "5000 of 5000 done") {
		t.Errorf("told %d messages:\n%.500s", len(m), told(sim))
	}
}
