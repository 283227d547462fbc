package store

import (
	"context"
	"errors"
	"path/filepath"
)

const (
	// compactAbove is how many delete markers are worth writing the bucket anew for,
	// if there are also more of them than of all else. Each takes some 100 bytes on
	// the disk, and there is one for each name and key that ever was.
	compactAbove = 20_000
	// fillers is how many objects are written at once.
	fillers = 256
)

// compact writes the bucket anew, without its delete markers. They cannot just be
// deleted: the engine does not note on disk what a newer message of a key made
// obsolete, and after a crash the value from before the marker would be there
// again. In a bucket that has nothing of before there is nothing to bring back.
//
// The present bucket counts until the new one is complete and in its place. The
// engine is stopped when this returns without an error.
func (s *Store) compact(ctx context.Context) error {
	items := s.view.all()
	info, err := s.stream(objectsStream).Info(ctx)
	if err != nil {
		return err
	}
	s.log.Info("the store is written anew, without the marks of what was deleted", "objects", len(items))
	o := s.opts
	o.Dir = filepath.Join(s.opts.Dir, newDir)
	err = fillNew(ctx, o, func(ctx context.Context, next *Store) error {
		if err := next.Continue(ctx, info.State.LastSeq, 0); err != nil {
			return err
		}
		return next.takeAll(ctx, items)
	})
	if err == nil {
		err = s.engine().stop()
	}
	if err == nil {
		err = bucketPlace(s.opts.Dir).swap(s.opts.Dir)
	}
	return err
}

// takeAll stores the objects of another store.
func (s *Store) takeAll(ctx context.Context, items []*item) error {
	queue := make(chan *item)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{}, fillers)
	for range fillers {
		go func() { // ends with the queue
			defer func() { done <- struct{}{} }()
			for it := range queue {
				if _, err := s.Create(ctx, it.Object, it.holding()); err != nil {
					cancel(err)
				}
			}
		}()
	}
	for _, it := range items {
		if ctx.Err() != nil {
			break
		}
		queue <- it
	}
	close(queue)
	for range fillers {
		<-done
	}
	return context.Cause(ctx)
}

// startCompact writes the bucket anew where that is worth it, and starts the engine
// again on what is then there. That it cannot be done is no reason not to start:
// the disk may be too full for both.
func (s *Store) startCompact(ctx context.Context) error {
	if s.markers <= max(s.opts.compactAbove, len(s.view.all())) {
		return nil
	}
	if err := s.compact(ctx); err != nil {
		s.log.Warn("cannot write the store anew; it goes on as it is", "err", err)
	}
	err := errors.Join(s.engine().stop(), tidy(s.opts.Dir))
	if err != nil {
		return err
	}
	s.view = newView(s.opts.Indexes)
	return s.startLoaded(ctx)
}
