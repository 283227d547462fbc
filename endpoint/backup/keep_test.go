package backup

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

// Now tells it.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// forward sets it.
func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newKeeper returns one that keeps three in a folder of its own.
func newKeeper(t *testing.T) (*Keeper, *clock) {
	t.Helper()
	s := open(t, t.TempDir())
	machine(t, s, 1)
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	src := source(s)
	src.Now = c.Now
	return &Keeper{Source: src, Dir: filepath.Join(t.TempDir(), "kept"), Keep: 3, Logger: slog.New(slog.DiscardHandler)}, c
}

// kept lists the files.
func (k *Keeper) kept(t *testing.T) []string {
	t.Helper()
	files, err := k.files()
	must(t, err)
	return files
}

func TestKeeperKeepsTheNewest(t *testing.T) {
	ctx := context.Background()
	k, c := newKeeper(t)
	for range 5 {
		path, err := k.Take(ctx)
		must(t, err)
		f, err := os.Open(path)
		must(t, err)
		_, counts, err := Check(f)
		must(t, f.Close())
		if err != nil || counts.Objects != 1 {
			t.Errorf("%+v, %v", counts, err)
		}
		must(t, os.WriteFile(filepath.Join(k.Dir, ".oob-half.snapshot.123"), nil, 0o600)) // what a crash leaves
		must(t, os.WriteFile(filepath.Join(k.Dir, "mine"), nil, 0o600))
		c.forward(time.Hour)
	}
	files := k.kept(t)
	if len(files) != 3 || files[2] != "oob-20260301T160000.000Z.snapshot" {
		t.Errorf("kept: %v", files)
	}
	_, err := k.Take(ctx)
	must(t, err)
	if _, err := os.Stat(filepath.Join(k.Dir, ".oob-half.snapshot.123")); err == nil {
		t.Error("half a snapshot is left")
	}
	if _, err := os.Stat(filepath.Join(k.Dir, "mine")); err != nil {
		t.Error("a file of somebody else's is gone")
	}
	// The clock is put back: the new one counts as much.
	c.forward(-1000 * time.Hour)
	path, err := k.Take(ctx)
	must(t, err)
	if files := k.kept(t); len(files) != 3 || files[0] != filepath.Base(path) {
		t.Errorf("kept: %v", files)
	}
}

func TestKeeperTakesOneADay(t *testing.T) {
	k, c := newKeeper(t)
	ticks := make(chan time.Time)
	k.Ticks = ticks
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx) })
	look := func() { // the second one is taken when the first has been looked at
		ticks <- c.Now()
		ticks <- c.Now()
	}
	for _, step := range []struct {
		forward time.Duration
		want    int
	}{{0, 1}, {time.Hour, 1}, {-2 * time.Hour, 1}, {25 * time.Hour, 2}, {23 * time.Hour, 2}, {time.Hour, 3}, {-48 * time.Hour, 3}} {
		c.forward(step.forward)
		look()
		if got := k.kept(t); len(got) != step.want {
			t.Errorf("after %s: %v, want %d", step.forward, got, step.want)
		}
	}
	cancel()
	running.Wait()
}

// A clock that was months ahead and is right again costs one snapshot and not one
// with every look; those of the wrong time go first, and the others stay their days.
func TestKeeperAfterAClockThatWasAhead(t *testing.T) {
	k, c := newKeeper(t)
	take := func() {
		t.Helper()
		if !k.due() {
			t.Errorf("none is due at %s", c.Now())
		}
		_, err := k.Take(t.Context())
		must(t, err)
		if k.due() {
			t.Errorf("another is due at %s", c.Now())
		}
	}
	const months = 2000 * time.Hour
	c.forward(months)
	for range 3 {
		take()
		c.forward(Every)
	}
	c.forward(-3*Every - months)
	for range 4 {
		take()
		c.forward(time.Minute)
		if k.due() {
			t.Errorf("another is due at %s", c.Now())
		}
		c.forward(Every - time.Minute)
	}
	want := []string{"oob-20260302T120000.000Z.snapshot", "oob-20260303T120000.000Z.snapshot", "oob-20260304T120000.000Z.snapshot"}
	if got := k.kept(t); !slices.Equal(got, want) {
		t.Errorf("kept: %v", got)
	}
}

// What is called like a snapshot and is none is neither counted nor deleted.
func TestKeeperBesideOtherNames(t *testing.T) {
	k, _ := newKeeper(t)
	for _, name := range []string{"oob-mine.snapshot", "oob-20260301T120000.000Z.snapshot"} {
		must(t, os.MkdirAll(filepath.Join(k.Dir, name), 0o700))
	}
	if !k.due() {
		t.Error("a folder is taken for a snapshot")
	}
	must(t, os.Remove(filepath.Join(k.Dir, "oob-20260301T120000.000Z.snapshot")))
	_, err := k.Take(t.Context())
	must(t, err)
	if got := k.kept(t); len(got) != 1 {
		t.Errorf("kept: %v", got)
	}
}

func TestKeeperWithoutAFolder(t *testing.T) {
	k, _ := newKeeper(t)
	must(t, os.WriteFile(k.Dir, nil, 0o600))
	if _, err := k.Take(context.Background()); err == nil {
		t.Error("taken into a file")
	}
}
