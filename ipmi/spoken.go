package main

import (
	"sync"

	"provision-plugins/shared/model"
)

// maxSpoken bounds what is remembered of machines in mode auto.
const maxSpoken = 16384

// spoken remembers by machine which protocol its BMC speaks, for mode auto.
type spoken struct {
	mu    sync.Mutex // guards modes
	modes map[string]string
}

// mode is what is known of a machine; "" if nothing is.
func (s *spoken) mode(machine string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.modes[machine]
}

// learn remembers what worked, and forgets what does not answer any more. A login
// that was refused is an answer.
func (s *spoken) learn(machine, mode string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch kind := model.KindOf(err); {
	case err == nil, kind == model.DeviceAuth:
	case kind == model.Unreachable, kind == model.Timeout, kind == model.Conflict:
		delete(s.modes, machine)
		return
	default:
		return
	}
	if s.modes == nil {
		s.modes = map[string]string{}
	}
	for other := range s.modes {
		if len(s.modes) < maxSpoken {
			break
		}
		delete(s.modes, other) // whichever: it is asked again
	}
	s.modes[machine] = mode
}
