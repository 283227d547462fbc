package backup

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

const (
	// Every is how often a keeper takes a snapshot.
	Every = 24 * time.Hour
	// checkEvery is how often it looks whether it is time.
	checkEvery = time.Minute

	// The name of a keeper's file: prefix, time, ending. Ordered by name they are
	// ordered by time.
	filePrefix, fileEnding = "oob-", ".snapshot"
	fileTime               = "20060102T150405.000Z"

	// spare is the room that a snapshot leaves on its disk: the store's own comes
	// first.
	spare = 64 << 20
)

// Keeper keeps the newest snapshots in a folder, one taken every day.
type Keeper struct {
	// Source is what they are taken of. They are without the master key.
	Source Source
	// Dir is the folder, made if it is absent.
	Dir string
	// Keep is how many are kept.
	Keep int
	// Logger takes what was done.
	Logger *slog.Logger
	// Ticks tell when to look whether it is time; nil: every minute.
	Ticks <-chan time.Time
}

// Run takes snapshots until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	ticks := k.Ticks
	if ticks == nil {
		ticker := time.NewTicker(checkEvery)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		if k.due() {
			if _, err := k.Take(ctx); err != nil && ctx.Err() == nil {
				k.Logger.Error("cannot keep a snapshot", "err", err)
			}
		}
		select {
		case <-ticks:
		case <-ctx.Done():
			return
		}
	}
}

// due reports whether no snapshot is of about now. Those of a time to come do not
// count: the clock was put back, and they may be old.
func (k *Keeper) due() bool {
	files, err := k.files()
	if err != nil {
		return true
	}
	now := k.Source.Now()
	return !slices.ContainsFunc(files, func(name string) bool {
		at, err := time.Parse(filePrefix+fileTime+fileEnding, name)
		return err == nil && now.Sub(at).Abs() < Every
	})
}

// files lists the snapshots by name, oldest first.
func (k *Keeper) files() ([]string, error) {
	entries, err := os.ReadDir(k.Dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, filePrefix) && strings.HasSuffix(name, fileEnding) && e.Type().IsRegular() {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Take takes a snapshot now, deletes those that are too many, and returns the new
// file's path.
func (k *Keeper) Take(ctx context.Context) (string, error) {
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return "", model.Errorf(model.Invalid, "cannot make %s: %w", k.Dir, cause(err))
	}
	if err := k.room(); err != nil {
		return "", err
	}
	began := time.Now()
	path := filepath.Join(k.Dir, filePrefix+k.Source.Now().UTC().Format(fileTime)+fileEnding)
	counts, err := WriteFile(ctx, path, k.Source)
	if err != nil {
		return "", err
	}
	k.Logger.Info("snapshot taken", "file", path, "objects", counts.Objects, "records", counts.Records, "took", time.Since(began).Round(time.Millisecond))
	return path, k.prune(filepath.Base(path))
}

// room refuses a snapshot that may leave too little room on its disk. It takes
// about what the store does.
func (k *Keeper) room() error {
	h := k.Source.Store.Health()
	if h.Free < h.Used+spare {
		return model.Errorf(model.Internal, "%d MiB are free, about %d are needed for a snapshot", h.Free>>20, (h.Used+spare)>>20)
	}
	return nil
}

// prune deletes the oldest snapshots but those that are kept, and what a crash left
// half written. The one that was just taken stays, whatever the clock says, and what
// seems to be newer is older: the clock was put back.
func (k *Keeper) prune(newest string) error {
	files, err := k.files()
	if err != nil {
		return model.Errorf(model.Internal, "cannot list %s: %w", k.Dir, cause(err))
	}
	files = slices.DeleteFunc(files, func(name string) bool { return name == newest })
	at, _ := slices.BinarySearch(files, newest)
	files = slices.Concat(files[at:], files[:at])
	gone := files[:max(0, len(files)-k.Keep+1)]
	half, err := filepath.Glob(filepath.Join(k.Dir, "."+filePrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range half {
		gone = append(gone, filepath.Base(path))
	}
	for _, name := range gone {
		if err := os.Remove(filepath.Join(k.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return model.Errorf(model.Internal, "cannot delete the old snapshot %s: %w", name, cause(err))
		}
	}
	return nil
}
