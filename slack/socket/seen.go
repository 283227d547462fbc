package socket

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// seenFor is how long the id of an envelope is remembered at least.
	seenFor = time.Hour
	// maxSeen bounds the ids of one file, maxID the length of one.
	maxSeen = 100_000
	maxID   = 100
)

// Seen remembers the ids of envelopes, on disk, so that one that comes again, after
// a crash too, is not taken twice. The ids are in two files: when the newer one is
// an hour old it takes the place of the older one.
type Seen struct {
	dir string
	now func() time.Time

	mu     sync.Mutex // guards all below
	file   *os.File   // the newer
	begun  time.Time
	ids    map[string]bool // of the newer
	before map[string]bool // of the older
}

// The files, the newer one first.
const (
	newer = "envelopes.0"
	older = "envelopes.1"
)

// OpenSeen reads what was remembered in a folder.
func OpenSeen(dir string, now func() time.Time) (*Seen, error) {
	s := &Seen{dir: dir, now: now}
	var err error
	if s.before, _, err = read(filepath.Join(dir, older)); err != nil {
		return nil, fmt.Errorf("cannot remember envelopes: %w", err)
	}
	if s.ids, s.begun, err = read(filepath.Join(dir, newer)); err != nil {
		return nil, fmt.Errorf("cannot remember envelopes: %w", err)
	}
	if s.file, err = os.OpenFile(filepath.Join(dir, newer), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("cannot remember envelopes: %w", err)
	}
	if _, err := s.file.WriteString("\n"); err != nil { // what was torn ends here
		return nil, fmt.Errorf("cannot remember envelopes: %w", errors.Join(err, s.file.Close()))
	}
	return s, nil
}

// read reads a file of ids: a line each, with its time. What cannot be read of it
// was never promised.
func read(path string) (map[string]bool, time.Time, error) {
	ids, begun := map[string]bool{}, time.Time{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ids, begun, nil
	}
	if err != nil {
		return nil, begun, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() && len(ids) < maxSeen {
		stamp, id, ok := strings.Cut(lines.Text(), " ")
		at, err := strconv.ParseInt(stamp, 10, 64)
		if !ok || err != nil || !strings.HasSuffix(id, ".") {
			continue
		}
		if begun.IsZero() {
			begun = time.Unix(at, 0)
		}
		ids[strings.TrimSuffix(id, ".")] = true
	}
	return ids, begun, lines.Err()
}

// First reports whether an id is seen for the first time. It is on disk then.
func (s *Seen) First(id string) (bool, error) {
	if id == "" || len(id) > maxID || strings.ContainsAny(id, " \n\r.") {
		return false, fmt.Errorf("%.40q is no id of an envelope", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[id] || s.before[id] {
		return false, nil
	}
	if err := s.turn(); err != nil {
		return false, fmt.Errorf("cannot remember an envelope: %w", err)
	}
	_, err := fmt.Fprintf(s.file, "%d %s.\n", s.now().Unix(), id)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return false, fmt.Errorf("cannot remember an envelope: %w", err)
	}
	s.ids[id] = true
	return true, nil
}

// turn begins a new file when the newer one is old or full. It is called with mu
// held.
func (s *Seen) turn() error {
	now := s.now()
	if s.begun.IsZero() {
		s.begun = now
	}
	if now.Sub(s.begun) < seenFor && len(s.ids) < maxSeen {
		return nil
	}
	if err := os.Rename(filepath.Join(s.dir, newer), filepath.Join(s.dir, older)); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, newer), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = s.file.Close()
	s.file, s.begun, s.before, s.ids = f, now, s.ids, map[string]bool{}
	return err
}

// Close closes the files.
func (s *Seen) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Close()
}
