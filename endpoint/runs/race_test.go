package runs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/model"
)

// TestTwoClientsRaceForOneMachine has two clients ask for different actions on one
// machine at once, again and again. One gets the machine, the other is told who has
// it, and no two actions are ever executed at one time: in the order in which they
// were executed the requests are those of a register with a lock.
func TestTwoClientsRaceForOneMachine(t *testing.T) {
	rounds := 100
	if os.Getenv(nightlyEnv) == "1" {
		rounds = 1000
	}
	r := newRig(t)
	var mu sync.Mutex // guards working and executed
	working := 0
	executed := map[string]int{}
	wins := [2]int{}
	for round := range rounds {
		hold, ready := make(chan struct{}), make(chan struct{})
		var tickets [2]*Ticket
		var errs [2]error
		var clients sync.WaitGroup
		for c, command := range [2]string{model.PowerCycle, model.PowerReset} {
			q := request(command, newPlugin())
			q.Principal, q.Digest = fmt.Sprint("client", c), fmt.Sprint(round)
			q.Send = func(ctx context.Context) (json.RawMessage, error) {
				mu.Lock()
				if working++; working > 1 {
					t.Errorf("round %d: two actions at once", round)
				}
				executed[RunOf(ctx)]++
				mu.Unlock()
				<-hold
				mu.Lock()
				working--
				mu.Unlock()
				return json.RawMessage(`{}`), nil
			}
			clients.Go(func() {
				<-ready
				tickets[c], errs[c] = r.Submit(context.Background(), q)
			})
		}
		close(ready)
		clients.Wait()
		close(hold)
		winner := 0
		if tickets[0] == nil {
			winner = 1
		}
		loser := 1 - winner
		if errs[winner] != nil || tickets[loser] != nil || model.KindOf(errs[loser]) != model.Conflict {
			t.Fatalf("round %d: %v and %v, want one winner and one conflict", round, errs[0], errs[1])
		}
		if run := r.wait(tickets[winner]); run.State != model.RunDone {
			t.Fatalf("round %d: the winner ended %s: %v", round, run.State, run.Error)
		}
		if id := tickets[winner].ID(); !strings.Contains(errs[loser].Error(), id) || executed[id] != 1 {
			t.Fatalf("round %d: %v does not name run %s, which was executed %d times", round, errs[loser], id, executed[id])
		}
		wins[winner]++
	}
	if len(executed) != rounds {
		t.Errorf("%d actions were executed in %d rounds", len(executed), rounds)
	}
	t.Logf("%d races: the first client won %d, the second %d; the other one was refused each time, none was executed twice", rounds, wins[0], wins[1])
}
