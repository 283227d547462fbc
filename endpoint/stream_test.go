package endpoint

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
)

// Hundreds of clients (a thousand in the nightly tests) are told of everything in order, whatever one of them does
// that never reads.
func TestManySubscribersOfWhichOneNeverReads(t *testing.T) {
	t.Parallel()
	r := start(t)
	subscribers := 250
	if os.Getenv("OOB_NIGHTLY") != "" {
		subscribers = 1_000
	}
	const count = 12
	conns := make([]*websocket.Conn, subscribers)
	for i := range conns {
		conns[i] = r.dial()
		if e := say(t, conns[i], "register bulk.*.*"); e.Type != "websocket" {
			t.Fatalf("ack %s", name(e))
		}
	}
	deaf, reading := conns[0], conns[1:]
	say(t, deaf, "register deaf.*.*")
	var readers sync.WaitGroup
	for i, conn := range reading {
		readers.Go(func() {
			if err := readAll(conn, count); err != nil {
				t.Errorf("subscriber %d: %v", i+1, err)
			}
		})
	}
	// Larger than the deaf one's socket takes; nobody else has asked for these.
	filler := strings.Repeat("x", 20_000)
	for range count {
		r.e.hub.Publish(&model.Event{Time: time.Now(), Type: "deaf", Action: "x", Object: filler})
	}
	for i := range count {
		r.e.hub.Publish(&model.Event{Time: time.Now(), Type: "bulk", Action: "x", Key: fmt.Sprint(i)})
	}
	readers.Wait()
	for range 2_000 { // more than one client's queue holds
		r.e.hub.Publish(&model.Event{Time: time.Now(), Type: "deaf", Action: "y"})
	}
	if got := r.e.hub.Subscribers(); got != subscribers {
		t.Errorf("%d subscribers", got)
	}
	for _, conn := range reading {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "those who went away forgotten", func() bool { return r.e.hub.Subscribers() == 1 })
	// Who was deaf hears what waits for it, and how much it has missed.
	for missed := false; !missed; {
		e := hear(t, deaf)
		missed = e.Type == "events" && e.Action == "missed"
	}
}

// readAll reads the events of a stream with the keys from 0 to count.
func readAll(conn *websocket.Conn, count int) error {
	if err := conn.SetReadDeadline(time.Now().Add(2 * patience)); err != nil {
		return err
	}
	for i := range count {
		var e model.Event
		if err := conn.ReadJSON(&e); err != nil {
			return err
		}
		if e.Key != fmt.Sprint(i) {
			return fmt.Errorf("event %s.%s.%s instead of %d", e.Type, e.Action, e.Key, i)
		}
	}
	return nil
}

// Each event is encoded once, and the same for everybody.
func TestFrames(t *testing.T) {
	t.Parallel()
	var f frames
	first := &model.Event{Type: "a"}
	one, err := f.of(first)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.of(first); again != one || err != nil {
		t.Errorf("encoded again: %v", err)
	}
	for range 2 * len(f.ring) {
		if other, err := f.of(&model.Event{Type: "b"}); other == one || err != nil {
			t.Errorf("another event has the same frame: %v", err)
		}
	}
	if late, err := f.of(first); late == one || late == nil || err != nil {
		t.Errorf("an event that was forgotten: %v, %v", late, err)
	}
	if bad, err := f.of(&model.Event{Object: func() {}}); bad != nil || err == nil {
		t.Error("what cannot be encoded was")
	}
}
