package slack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const (
	// hookLife is how long a response_url works, and hookUses how often.
	hookLife = 30 * time.Minute
	hookUses = 5
)

// hook is a response_url, and the trigger_id that came with it.
type hook struct {
	url, trigger  string
	channel, user string
	message       string // the message that was clicked on, empty for a command
	born          time.Time
	uses          int
	viewed        bool // its trigger opened a view
}

// newHook makes an address that an interaction can be answered at.
func (s *Server) newHook(h hook) *hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	name := fmt.Sprintf("h%d", s.seq)
	h.url, h.trigger, h.born = "http://"+s.addr+"/actions/"+name, "trigger-"+name, s.opts.Now()
	s.hooks[name] = &h
	return &h
}

// serveHook takes an answer to an interaction.
func (s *Server) serveHook(w http.ResponseWriter, r *http.Request) {
	form, err := readForm(w, r)
	if err != nil {
		answerWith(w, http.StatusBadRequest, refuse("invalid_payload"))
		return
	}
	s.mu.Lock()
	s.calls["response_url"]++
	s.mu.Unlock()
	do := func() map[string]any {
		if code := s.respond(r.PathValue("hook"), form); code != "" {
			return refuse(code)
		}
		return map[string]any{"ok": true}
	}
	if f, faulty := s.nextFault("response_url"); faulty {
		s.meet(w, r, f, do)
		return
	}
	body, status := do(), http.StatusOK
	if body["ok"] != true {
		status = http.StatusNotFound
	}
	answerWith(w, status, body)
}

// respond does what an answer to an interaction asks for; code is its refusal.
func (s *Server) respond(name string, form url.Values) (code string) {
	s.mu.Lock()
	h := s.hooks[name]
	switch {
	case h == nil:
		code = "no_such_url"
	case s.opts.Now().Sub(h.born) >= hookLife:
		code = "expired_url"
	case h.uses >= hookUses:
		code = "used_url"
	default:
		h.uses++
	}
	s.mu.Unlock()
	if code != "" {
		return code
	}
	_, code = s.place(h, form)
	return code
}

// immediate shows the payload of a command's acknowledgement.
func (s *Server) immediate(h *hook, payload json.RawMessage) (*Message, error) {
	form, err := readObject(payload)
	if err != nil || len(form) == 0 {
		return nil, err
	}
	m, code := s.place(h, form)
	if code != "" {
		return nil, fmt.Errorf("the answer to the command was refused: %s", code)
	}
	return m, nil
}

// place posts, replaces or deletes a message as an interaction's answer asks for.
func (s *Server) place(h *hook, form url.Values) (m *Message, code string) {
	replace, remove := yes(form, "replace_original"), yes(form, "delete_original")
	next, code := content(form)
	if code != "" && !remove {
		return nil, code
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changedNow()
	original := s.visible(h.channel, h.message, h.user)
	if (replace || remove) && original == nil {
		return nil, "message_not_found"
	}
	switch {
	case remove:
		s.forget(original)
		return nil, ""
	case replace:
		original.edit(next)
		shown := *original
		return &shown, ""
	}
	next.Channel, next.TS, next.ThreadTS = h.channel, s.nextTS(), form.Get("thread_ts")
	if form.Get("response_type") != "in_channel" {
		next.User = h.user
	}
	kept := next
	s.messages = append(s.messages, &kept)
	return &next, ""
}
