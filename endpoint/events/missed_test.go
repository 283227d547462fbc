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
