package store

import (
	"net/http"

	"provision-plugins/shared/model"
)

// fullAt is the part of MaxBytes, in percent, above which nothing new begins:
// the rest is for what has begun.
const fullAt = 90

// Room refuses, with status 507, while the store is so full that no new object
// or run may begin. What is there can still be changed, ended and deleted.
func (s *Store) Room() error {
	info, err := s.srv.Jsz(nil)
	if err != nil {
		return model.Errorf(model.Internal, "cannot tell how full the store is: %w", err)
	}
	used, limit := info.Store, uint64(info.Config.MaxStore)
	if limit == 0 || used < limit/100*fullAt {
		return nil
	}
	full := model.Errorf(model.Internal,
		"cannot store anything new: %d of %d MiB are used; delete what is not needed, or make room on the disk and start again", used>>20, limit>>20)
	full.Code = http.StatusInsufficientStorage
	return full
}
