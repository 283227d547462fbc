package events

import (
	"testing"

	"provision-plugins/shared/model"
)

// Each event that is published is told of by its type, each that a slow subscriber
// misses to whom it concerns.
func TestWhatIsPublishedAndMissedIsTold(t *testing.T) {
	t.Parallel()
	kinds, missed := map[string]int{}, 0
	h := New(Options{Queue: 2, Published: func(kind string) { kinds[kind]++ }})
	defer h.Close()
	slow, err := h.Subscribe("machines.*.*")
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	slow.OnMissed(func() { missed++ })
	for range 5 {
		h.Publish(&model.Event{Type: "machines", Action: "update", Key: "u"})
		h.Publish(&model.Event{Type: "runs", Action: "update", Key: "r"})
	}
	if missed != 3 || slow.Waiting() != 2 || kinds["machines"] != 5 || kinds["runs"] != 5 {
		t.Errorf("%d missed, %d wait, published %v", missed, slow.Waiting(), kinds)
	}
}

// A subscriber that is given more room misses nothing that fits, and nobody has
// less room for it.
func TestMoreRoom(t *testing.T) {
	t.Parallel()
	h := New(Options{Queue: 2, QueueBytes: 10_000})
	defer h.Close()
	wide, err := h.Subscribe("*.*.*")
	if err != nil {
		t.Fatal(err)
	}
	usual, err := h.Subscribe("*.*.*")
	if err != nil {
		t.Fatal(err)
	}
	wide.Widen(5, 100_000)
	wide.Widen(1, 1)
	for range 7 {
		h.Publish(event("t", "a", "k"))
	}
	if wide.Waiting() != 5 || usual.Waiting() != 2 {
		t.Errorf("%d and %d wait, want 5 and 2", wide.Waiting(), usual.Waiting())
	}
	bytes, err := h.Subscribe("*.*.*")
	if err != nil {
		t.Fatal(err)
	}
	bytes.Widen(1_000, 0)
	for range 100 {
		h.Publish(event("t", "a", "k"))
	}
	if most := 10_000 / size(event("t", "a", "k")); bytes.Waiting() != most {
		t.Errorf("%d wait, %d fit into the bytes", bytes.Waiting(), most)
	}
}
