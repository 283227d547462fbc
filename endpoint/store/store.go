package store

import (
	"context"
	"log/slog"
)

// Options say where the data are and how much of it there may be.
type Options struct {
	// Dir is the data directory. It is made if it is absent, kept at mode
	// 0700 and held by one process at a time.
	Dir string
	// Site stands in the subject of every run record; default "local".
	Site string
	// Logger takes the engine's log; default: discarded.
	Logger *slog.Logger
	// MaxBytes bounds what is stored; default: 80 % of the space that is free at start.
	MaxBytes int64
}

// Store is an open data directory. Its methods may be called concurrently.
type Store struct {
}

// Open opens the data directory, starts the engine and loads the view. A
// directory that another process holds is a conflict naming that process; one
// that cannot be written is forbidden or invalid, saying what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	return nil, errNotYet
}

// Close stops the engine and gives the data directory up. What was acknowledged
// is on disk already. It is bounded, and a second call does nothing.
func (s *Store) Close() error {
	return errNotYet
}
