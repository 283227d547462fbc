package plugin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"provision-plugins/shared/model"
)

// errStopping is why the context of an action ends that outlived its time.
var errStopping = errors.New("the plugin is stopping")

// serve answers requests until the plugin is to end, then ends it in order: no
// new actions, those running finish, their replies and the one to stop are
// written, the socket is removed.
func (s *server) serve(ctx context.Context, socket net.Listener, host *hostWatch) error {
	watchCtx, endWatch := context.WithCancel(context.WithoutCancel(ctx))
	dead, watchEnded := host.died(watchCtx)
	defer func() {
		endWatch()
		<-watchEnded
	}()
	hs := s.httpServer()
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(socket) }()

	var err error
	select {
	case <-s.stopAsked:
		s.drain(dead)
	case <-ctx.Done():
		s.logger.Info("STOPPING")
		s.drain(dead)
	case <-dead:
		s.orphaned()
	case err = <-failed:
		s.drain(dead)
	}
	close(s.drained)
	s.giveUp()
	s.streams.close()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.program.timing.flushLimit)
	defer cancel()
	if hs.Shutdown(flush) != nil {
		_ = hs.Close() // what is not written by now is given up
	}
	<-s.streams.idle   // the server does not know of them; each gives up as soon
	if s.apis != nil { // the server does not know of websockets
		select {
		case <-s.apis.gate.idle:
		case <-flush.Done():
		}
	}
	return err
}

// giveUp ends the contexts of all that is running, and forgets the events that
// wait.
func (s *server) giveUp() {
	s.cancelActions(errStopping)
	if s.events != nil {
		s.events.abandon()
	}
}

// drain refuses new actions and waits, bounded, until those running have
// ended. A host that dies meanwhile leaves the time of an orphan.
func (s *server) drain(dead <-chan struct{}) {
	t := s.program.timing
	idle := s.refuse("the plugin is stopping")
	limit, cancel := context.WithTimeout(context.Background(), t.drainLimit)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.wind(limit, idle)
	}()
	select {
	case <-ended:
		return
	case <-dead:
	}
	left, done := context.WithTimeout(context.Background(), t.orphanGrace)
	defer done()
	if impl, ok := s.program.impl.(Orphaner); ok {
		s.finish(left, "Orphaned", t.orphanGrace, impl.Orphaned)
	}
	s.giveUp()
	select {
	case <-ended:
	case <-left.Done():
	}
	cancel()
	<-ended
}

// refuse takes no more actions and no more events. The channel is closed once
// those that were taken are done with.
func (s *server) refuse(why string) (idle <-chan struct{}) {
	s.gate.close(why)
	if s.apis != nil {
		s.apis.gate.close(why)
	}
	if s.events == nil {
		return s.gate.idle
	}
	s.events.close()
	both := make(chan struct{})
	go func() {
		defer close(both)
		<-s.events.pool.idle
		<-s.gate.idle
	}()
	return both
}

// wind stops the implementation and waits for the actions that are running. It
// returns when ctx ends.
func (s *server) wind(ctx context.Context, idle <-chan struct{}) {
	t := s.program.timing
	began := time.Now()
	if stopper, ok := s.program.impl.(Stopper); ok {
		s.finish(ctx, "Stop", t.stopGrace, stopper.Stop)
	}
	// Those still running are about to answer, or did not hear of the stop.
	grace := max(time.Until(began.Add(t.actionGrace)), t.flushLimit)
	select {
	case <-idle:
		return
	case <-time.After(grace):
	case <-ctx.Done():
		return
	}
	s.logger.Warn("stopping actions that are still running", "actions", s.gate.running())
	s.giveUp()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// orphaned ends what the dead host wanted.
func (s *server) orphaned() {
	t := s.program.timing
	idle := s.refuse("the host of the plugin is gone")
	limit, cancel := context.WithTimeout(context.Background(), t.orphanGrace)
	defer cancel()
	switch impl := s.program.impl.(type) {
	case Orphaner:
		s.finish(limit, "Orphaned", t.orphanGrace, impl.Orphaned)
	case Stopper:
		s.finish(limit, "Stop", t.orphanGrace, impl.Stop)
	}
	s.giveUp()
	select {
	case <-idle:
	case <-limit.Done():
	}
}

// finish calls one of the implementation's last methods, bounded even if it
// does not heed its context, and survives its panic.
func (s *server) finish(ctx context.Context, name string, bound time.Duration, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				done <- s.panicked(ctx, name, cause)
			}
		}()
		done <- call(ctx)
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = model.Errorf(model.Timeout, "it did not return within %v", bound)
	}
	if err != nil {
		s.logger.LogAttrs(ctx, slog.LevelError, name+" failed", slog.String("error", model.AsError(err).Text()))
	}
}
