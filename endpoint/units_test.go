package endpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// A name that is deleted leaves nothing, however often it comes and goes; what is
// made again while the old one still ends is started after it. Goroutines are
// counted, so this runs by itself.
func TestADeletedNameLeavesNothing(t *testing.T) {
	r := start(t, "toy")
	for i := range 5 {
		name := fmt.Sprint("brief-", i)
		if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: name, Provider: "toy"}, nil); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			r.ready(name)
		}
		if err := r.c.Delete(t.Context(), "plugins/"+name, nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "only the first plugin is left", func() bool {
		r.e.sup.mu.Lock()
		defer r.e.sup.mu.Unlock()
		return len(r.e.sup.units) == 1
	})
	eventually(t, "only its goroutines are left", func() bool { return goroutinesIn("(*unit).loop") == 1 && goroutinesIn("(*Process).reap(") == 1 })
}

// goroutinesIn counts the goroutines that are in a function.
func goroutinesIn(function string) int {
	all := make([]byte, 1<<20)
	return strings.Count(string(all[:runtime.Stack(all, true)]), function)
}

func TestANameThatIsMadeAgainAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	first := pidOf(t, r, "toy")
	for range 3 {
		if err := r.c.Delete(t.Context(), "plugins/toy", nil); err != nil {
			t.Fatal(err)
		}
		if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "toy", Provider: "toy"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	r.ready("toy")
	r.replaced("toy", first)
	if startTime(first) != "" {
		t.Error("two processes of one name")
	}
	r.machine("m1", nil)
	if _, err := r.act("m1", "poweron", nil); err != nil {
		t.Error(err)
	}
}

// A provider that is away for a moment, as in a replacement by hand, takes its
// units along.
func TestAPluginOutlivesItsFilesAbsence(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	first := pidOf(t, r, "toy")
	path := filepath.Join(r.opts.PluginDir, "toy")
	if err := os.Rename(path, path+"-away"); err != nil {
		t.Fatal(err)
	}
	// Under its other name the same file is of the same provider.
	r.replaced("toy", first)
	second := pidOf(t, r, "toy")
	if err := os.Rename(path+"-away", path); err != nil {
		t.Fatal(err)
	}
	r.replaced("toy", second)
}

// An event that may have been seen is not handed on a second time: a plugin that
// dies over one is not fed it again.
func TestAnEventThatKillsIsNotRepeated(t *testing.T) {
	t.Parallel()
	r := newRig(t, "fragile")
	r.start()
	r.ready("fragile")
	first := pidOf(t, r, "fragile")
	r.e.hub.Publish(&model.Event{Type: "test", Action: "kill", Key: "k"})
	r.e.hub.Publish(&model.Event{Type: "test", Action: "after", Key: "k"})
	r.replaced("fragile", first)
	eventually(t, "the event after it", func() bool { return strings.Contains(strings.Join(r.lines("published"), "\n"), "test.after.k") })
	if got := strings.Count(strings.Join(r.lines("published"), "\n"), "test.kill.k"); got != 1 {
		t.Errorf("handed on %d times", got)
	}
}

// An event that nobody can have seen waits for the plugin.
func TestAnEventWaitsForAPluginThatIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, "listener")
	r.build()
	r.e.timing.backoffMin, r.e.timing.backoffMax = 500*time.Millisecond, time.Second
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.connect()
	t.Cleanup(r.stop)
	if err := syscall.Kill(pidOf(t, r, "listener"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end is seen", func() bool { return currentPid(r, "listener") == 0 })
	r.e.hub.Publish(&model.Event{Type: "test", Action: "while", Key: "away", Time: time.Now()})
	eventually(t, "it came", func() bool { return strings.Contains(strings.Join(r.lines("published"), "\n"), "test.while.away") })
	if got := strings.Count(strings.Join(r.lines("published"), "\n"), "test.while.away"); got != 1 {
		t.Errorf("it came %d times", got)
	}
}
