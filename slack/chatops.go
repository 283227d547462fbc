package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/slack/chat"
	"provision-plugins/slack/outbox"
	"provision-plugins/slack/silence"
	"provision-plugins/slack/socket"
)

// The params of commands.
const (
	paramApp      = "slack/app-token"
	paramCommands = "slack/commands"
)

// faultTimeout bounds telling that commands are not taken any more.
const faultTimeout = 5 * time.Second

// chatOps takes commands: by a socket, into a room.
type chatOps struct {
	room   *chat.Room
	socket *socket.Socket
	seen   *socket.Seen
}

// openChat begins to take commands, if there is an app token. What took them before
// has ended.
func (n *notifier) openChat(next config, c *client.Client) (*chatOps, error) {
	if next.app == "" {
		return nil, nil
	}
	if c == nil {
		return nil, model.Errorf(model.Invalid, "cannot take commands: there is no endpoint to ask for actions")
	}
	seen, err := socket.OpenSeen(next.dir, time.Now)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot take commands: %w", err)
	}
	log := n.log.With("part", "commands")
	room, err := chat.Open(chat.Options{
		URL: next.url, Token: next.token, Client: n.http, Endpoint: c, Plugin: pluginName,
		Policy: next.policy, Dir: next.dir, Desk: n, Logger: log,
	})
	if err != nil {
		return nil, errors.Join(err, seen.Close())
	}
	return &chatOps{room: room, seen: seen, socket: socket.Start(socket.Options{
		URL: next.url, Token: next.app, Client: n.http, Handle: room.Handle, Seen: seen, Logger: log, Pause: n.pace, Down: n.refusedApp,
	})}, nil
}

// takeCommands begins to take commands.
func (n *notifier) takeCommands(next config, c *client.Client) error {
	chat, err := n.openChat(next, c)
	if err != nil {
		return err
	}
	n.chatting.Lock()
	defer n.chatting.Unlock()
	n.chat = chat
	return nil
}

// endCommands ends the taking of commands. It must not be called with mu held: what
// is being worked on may want it.
func (n *notifier) endCommands() error {
	n.chatting.Lock()
	chat := n.chat
	n.chat = nil
	n.chatting.Unlock()
	return chat.close()
}

// commands is what takes commands now, nil for nothing.
func (n *notifier) commands() *chatOps {
	n.chatting.Lock()
	defer n.chatting.Unlock()
	return n.chat
}

// status is what the action status tells where commands are taken.
type status struct {
	outbox.Status
	Commands chatStatus `json:"commands"`
}

// close ends the taking of commands, and what is being worked on.
func (c *chatOps) close() error {
	if c == nil {
		return nil
	}
	c.socket.Close()
	c.room.Close()
	return c.seen.Close()
}

// chatStatus is how the taking of commands stands.
type chatStatus struct {
	socket.State
	ToConfirm int `json:"toConfirm"`
	Doing     int `json:"doing"`
}

// status tells how it stands.
func (c *chatOps) status() chatStatus {
	s := chatStatus{State: c.socket.State()}
	s.ToConfirm, s.Doing = c.room.Waiting()
	return s
}

// refusedApp tells that Slack refuses the app token: in the log, and as an event,
// where an endpoint takes events of plugins.
func (n *notifier) refusedApp(cause error) {
	if n.host == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), faultTimeout)
	defer cancel()
	text := fmt.Sprintf("commands are not taken: Slack refuses the app token (%s); check param %s", strings.TrimSpace(cause.Error()), paramApp)
	e := &model.Event{Time: time.Now(), Type: "plugins", Action: "fault", Key: pluginName, Object: map[string]any{"Name": pluginName, "Error": text}}
	if err := n.host.Publish(ctx, e); err != nil {
		n.log.WarnContext(ctx, "cannot tell the endpoint that commands are not taken", "cause", err)
	}
}

// Silences lists the silences of now and of later.
func (n *notifier) Silences() []silence.Silence {
	p, err := n.at()
	if err != nil {
		return nil
	}
	return p.silences.List()
}
