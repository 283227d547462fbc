package events

import "provision-plugins/shared/model"

// PublishNamed hands an event to those subscribers only that have asked for its
// type by name, and does not keep it: log lines, of which there may be many and
// which must not make a plugin that gets every event write more of them.
func (h *Hub) PublishNamed(e *model.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	for s := range h.subs {
		if s.names(e) {
			s.offer(e)
		}
	}
}

// names reports whether a pattern that selects the event names its type.
func (s *Subscription) names(e *model.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.patterns {
		for _, p := range list {
			if p.types != nil && p.Match(e) {
				return true
			}
		}
	}
	return false
}

// Subscribers counts those who are told of events now.
func (h *Hub) Subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}
