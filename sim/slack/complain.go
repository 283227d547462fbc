package slack

import (
	"fmt"
	"slices"
)

// Complaints returns what the app did that Slack forbids or drops without a word.
func (s *Server) Complaints() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

// complain keeps a complaint. It is called with mu held.
func (s *Server) complain(format string, a ...any) {
	s.told = append(s.told, fmt.Sprintf(format, a...))
}

// twice complains of a message whose client_msg_id another of its channel has. It
// is called with mu held.
func (s *Server) twice(m *Message) {
	id := m.Channel + " " + m.ClientMsgID
	if m.ClientMsgID != "" && s.clientIDs[id] {
		s.complain("client_msg_id %s was posted again in %s", m.ClientMsgID, m.Channel)
	}
	s.clientIDs[id] = true
}
