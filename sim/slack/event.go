package slack

import (
	"context"
	"fmt"
	"strings"
)

// maxRetries is how often Slack sends an event again that was not acknowledged.
const maxRetries = 3

// Event tells the app of something by the Events API, over Socket Mode: event is
// its inner object, such as {"type":"app_mention"}. One that is not acknowledged is
// sent again, up to three times, as Slack does, but at once. The Reply is that of
// the last; the error is one of the caller.
func (s *Server) Event(ctx context.Context, event map[string]any) (Reply, error) {
	payload := map[string]any{"type": "event_callback", "token": "sim", "team_id": teamID, "api_app_id": appID, "event_id": "Ev" + strings.ReplaceAll(s.stamp(), ".", ""), "event": event}
	for attempt := 0; ; attempt++ {
		e := &Envelope{Type: typeEvent, Attempt: attempt}
		seen, err := s.dispatch(ctx, e, payload)
		if err != nil {
			return Reply{}, fmt.Errorf("cannot tell of an event: %w", err)
		}
		if seen == "" || attempt == maxRetries {
			return Reply{Envelope: e.ID, Error: seen, Payload: s.answerOf(e)}, nil
		}
	}
}
