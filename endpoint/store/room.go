package store

import (
	"fmt"
	"net/http"
	"syscall"

	"provision-plugins/shared/model"
)

const (
	// fullAt is the part of MaxBytes, in percent, above which nothing new begins:
	// the rest is for what has begun.
	fullAt = 90

	// The room on the file system below which nothing new begins: a twentieth of
	// it, within these bounds. Others may fill it, whatever MaxBytes is.
	minReserve = 8 << 20
	maxReserve = 1 << 30
	// floor is the room that the engine is never let run into: it does not bear a
	// failed write, and would have to be started again.
	floor = 3 << 20
)

// Space is what a file system has, in bytes.
type Space struct{ Free, Size uint64 }

// diskSpace is the space of the file system that a directory is on, as far as
// those without privileges may use it.
func diskSpace(dir string) (Space, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return Space{}, dirError(dir, err)
	}
	block := uint64(st.Bsize) //nolint:gosec // never negative
	return Space{Free: st.Bavail * block, Size: st.Blocks * block}, nil
}

// space is that of the store's file system.
func (s *Store) space() (Space, error) { return s.opts.Space(s.opts.Dir) }

// spaceFor refuses a write of n bytes that the disk may not have room for.
func (s *Store) spaceFor(n int) error {
	space, err := s.space()
	if err != nil {
		return err
	}
	if space.Free < floor+2*uint64(n) { //nolint:gosec // a length
		return noSpace(fmt.Sprintf("its disk has %d MiB left", space.Free>>20))
	}
	return nil
}

// usage is how much the engine stores and may store, in bytes.
func (s *Store) usage() (used, limit uint64, err error) {
	info, err := s.engine().srv.Jsz(nil)
	if err != nil {
		return 0, 0, model.Errorf(model.Internal, "cannot tell how full the store is: %w", err)
	}
	return info.Store, uint64(info.Config.MaxStore), nil //nolint:gosec // never negative
}

// Room refuses, with status 507, while the store or its disk is so full that no
// new object or run may begin. What is there can still be changed, ended and
// deleted.
func (s *Store) Room() error {
	if err := s.dog.fault(); err != nil {
		return err
	}
	space, err := s.space()
	if err != nil {
		return err
	}
	if space.Free < min(max(space.Size/20, minReserve), maxReserve) {
		return full("%d of %d MiB are left on its disk", space.Free>>20, space.Size>>20)
	}
	used, limit, err := s.usage()
	if err != nil || limit == 0 || used < limit/100*fullAt {
		return err
	}
	return full("%d of %d MiB are used", used>>20, limit>>20)
}

// full is the refusal of what is new.
func full(format string, v ...any) error {
	e := model.Errorf(model.Internal, "cannot store anything new: %s; delete what is not needed, or make room on the disk", fmt.Sprintf(format, v...))
	e.Code = http.StatusInsufficientStorage
	return e
}
