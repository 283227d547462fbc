package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// appPrefix is what the tokens of apps begin with.
	appPrefix = "xapp-"
	// maxSockets is how many sockets an app may have.
	maxSockets = 10
	// maxAck is where Slack drops an acknowledgement without a word, in bytes.
	maxAck = 20 * 1024
	// writeTimeout bounds a write to a socket.
	writeTimeout = 5 * time.Second
)

// link is the app's side of Socket Mode.
type link struct {
	tickets   map[string]bool // those of addresses that nobody connected to yet
	sockets   []*socket
	next      int // the socket that gets the next envelope
	opened    int // how many there were
	refusal   string
	ended     bool
	envelopes []*Envelope
	waiting   map[string]chan struct{} // by envelope; closed by its acknowledgement
	faults    SocketFaults
}

// newLink is the link of an app that is not connected.
func newLink() link {
	return link{tickets: map[string]bool{}, waiting: map[string]chan struct{}{}}
}

// socket is one websocket of the app.
type socket struct {
	number int // from 1
	conn   *websocket.Conn
	gone   chan struct{} // closed when its reader ends
	over   bool          // it was told to go, and gets no more envelopes; guarded by the server's mu

	mu sync.Mutex // guards writes to conn
}

// SocketFaults are what happens to envelopes on their way to the app.
type SocketFaults struct {
	// Copies is how often each is sent again, under the same id.
	Copies int

	// Delay is how long each is on its way.
	Delay time.Duration

	// Lose has none of them arrive.
	Lose bool
}

// SetSocketFaults exchanges the faults of Socket Mode.
func (s *Server) SetSocketFaults(f SocketFaults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.faults = f
}

// RevokeAppToken has apps.connections.open refuse the app token with an error code
// from now on, such as "token_revoked" or "not_allowed_token_type", and ends the
// app's sockets; an empty code makes the token good again.
func (s *Server) RevokeAppToken(code string) {
	s.mu.Lock()
	s.link.refusal = code
	s.mu.Unlock()
	if code != "" {
		s.Disconnect("link_disabled")
	}
}

// refusal is the code the app token is refused with, empty if it is good.
func (s *Server) refusal() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link.refusal
}

// Sockets tells how many sockets the app has open.
func (s *Server) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live())
}

// live are the sockets that get envelopes. It is called with mu held.
func (s *Server) live() []*socket {
	var out []*socket
	for _, c := range s.link.sockets {
		if !c.over {
			out = append(out, c)
		}
	}
	return out
}

// Opened tells how many sockets the app has opened so far.
func (s *Server) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link.opened
}

// Disconnect tells the app on each of its sockets that it has to connect anew:
// "warning" (soon), "refresh_requested" (now) or "link_disabled" (Socket Mode was
// switched off). All but a warned socket get no more envelopes, and are closed.
func (s *Server) Disconnect(reason string) {
	s.mu.Lock()
	told := s.live()
	for _, c := range told {
		c.over = reason != "warning"
	}
	s.changedNow()
	s.mu.Unlock()
	for _, c := range told {
		// A socket that cannot be written to is as good as closed.
		_ = c.send(disconnect(reason))
		if reason != "warning" {
			c.close()
		}
	}
}

// Drop ends the app's sockets as a broken line does, without a word.
func (s *Server) Drop() {
	s.mu.Lock()
	all := slices.Clone(s.link.sockets)
	for _, c := range all {
		c.over = true
	}
	s.changedNow()
	s.mu.Unlock()
	for _, c := range all {
		c.conn.NetConn().Close()
	}
}

// disconnect is the message that ends a socket.
func disconnect(reason string) map[string]any {
	return map[string]any{"type": "disconnect", "reason": reason, "debug_info": map[string]any{"host": "sim"}}
}

// openConnection answers with the address of a websocket. It is good for one
// connection.
func (s *Server) openConnection(url.Values) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	ticket := fmt.Sprintf("t%d", s.seq)
	s.link.tickets[ticket] = true
	return map[string]any{"ok": true, "url": fmt.Sprintf("ws://%s/link/?ticket=%s&app_id=%s", s.addr, ticket, appID)}
}

// serveSocket is the app's websocket, from the handshake to its end.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !s.admit(r.FormValue("ticket")) {
		http.Error(w, "this address was used, or is of no connection", http.StatusNotFound)
		return
	}
	defer s.work.Done()
	// The client says where it comes from, as a browser does; Slack does not mind.
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }, WriteBufferSize: 64 << 10}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	c := &socket{conn: conn, gone: make(chan struct{})}
	defer conn.Close()
	if !s.join(c) {
		return
	}
	defer s.leave(c)
	s.work.Go(func() { c.ping(s.opts.PingInterval) })
	defer close(c.gone)
	s.read(c)
}

// admit takes the ticket of a connection, and counts it as work if it was good.
func (s *Server) admit(ticket string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	good := s.link.tickets[ticket] && !s.link.ended
	delete(s.link.tickets, ticket)
	if good {
		s.work.Add(1)
	}
	return good
}

// join welcomes a socket. It gets envelopes from then on.
func (s *Server) join(c *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link.ended {
		return false
	}
	if len(s.live()) >= maxSockets {
		// It ends either way.
		_ = c.send(disconnect("too_many_websockets"))
		return false
	}
	s.link.opened++
	c.number = s.link.opened
	hello := map[string]any{
		"type": "hello", "num_connections": len(s.live()) + 1, "connection_info": map[string]any{"app_id": appID},
		"debug_info": map[string]any{"host": "sim", "build_number": 1, "approximate_connection_time": 18060},
	}
	if c.send(hello) != nil {
		return false
	}
	s.link.sockets = append(s.link.sockets, c)
	s.changedNow()
	return true
}

// leave forgets a socket.
func (s *Server) leave(c *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.sockets = slices.DeleteFunc(s.link.sockets, func(other *socket) bool { return other == c })
	s.changedNow()
}

// read takes acknowledgements until the socket ends.
func (s *Server) read(c *socket) {
	c.conn.SetReadLimit(maxBody)
	for {
		_, raw, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		s.acknowledge(raw)
	}
}

// send writes a message.
func (c *socket) send(message any) error {
	raw, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("cannot encode a message: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("cannot send: %w", err)
	}
	return c.conn.WriteMessage(websocket.TextMessage, raw)
}

// close says farewell. The app closes the connection then, as it should, or is
// closed upon.
func (c *socket) close() {
	farewell := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	limit := time.Now().Add(writeTimeout)
	// A peer that is gone needs no farewell.
	_ = c.conn.WriteControl(websocket.CloseMessage, farewell, limit)
	_ = c.conn.SetReadDeadline(limit)
}

// ping pings until the socket ends: the app takes a silent one for dead.
func (c *socket) ping(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		text := fmt.Appendf(nil, "Ping from sim %d", n)
		if c.conn.WriteControl(websocket.PingMessage, text, time.Now().Add(writeTimeout)) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-c.gone:
			return
		}
	}
}
