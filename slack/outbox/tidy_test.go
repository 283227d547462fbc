package outbox

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// However many put at once, the journal stays as small as what it holds and what a
// rewrite is not worth.
func TestTheJournalStaysSmall(t *testing.T) {
	const callers, puts = 16, 100
	box, err := Open(t.Context(), Options{Dir: t.TempDir(), Sender: closedRoom{}})
	if err != nil {
		t.Fatal(err)
	}
	message := quoted(strings.Repeat("x", 4<<10))
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for range puts {
				if err := box.Put(Entry{Channel: "A", Kind: Update, Incident: fmt.Sprint("i", c), Message: message}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	info, err := os.Stat(box.journal.path)
	if err != nil {
		t.Fatal(err)
	}
	// A group that is being written when a rewrite falls due comes on top.
	if most := int64(rewriteAfter + rewriteAfter/4); info.Size() > most {
		t.Errorf("the journal has %d bytes after %d of messages, want at most %d", info.Size(), callers*puts*len(message), most)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	left, err := box.Close(over)
	if err != nil || left < callers-1 || left > callers+1 {
		t.Errorf("%d are left, %v", left, err)
	}
}
