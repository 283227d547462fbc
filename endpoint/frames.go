package endpoint

import (
	"sync"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
)

// frames are the newest events as event streams send them, so that each is
// encoded once and not for every client. The zero value is ready.
type frames struct {
	mu   sync.Mutex // guards all below
	ring [64]frame
	next int
}

// frame is one event as it is sent.
type frame struct {
	event    *model.Event
	prepared *websocket.PreparedMessage
}

// of returns an event as it is sent.
func (f *frames) of(e *model.Event) (*websocket.PreparedMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.ring {
		if f.ring[i].event == e {
			return f.ring[i].prepared, nil
		}
	}
	raw, err := model.Marshal(e)
	if err != nil {
		return nil, err
	}
	prepared, err := websocket.NewPreparedMessage(websocket.TextMessage, raw)
	if err != nil {
		return nil, err
	}
	f.ring[f.next] = frame{e, prepared}
	f.next = (f.next + 1) % len(f.ring)
	return prepared, nil
}
