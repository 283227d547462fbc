package chat

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"provision-plugins/slack/socket"
)

// The types of envelopes, and of interactions.
const (
	typeSlash    = "slash_commands"
	typeInteract = "interactive"
	typePress    = "block_actions"
	typeSubmit   = "view_submission"
)

// origin is who asks, and where.
type origin struct {
	User, Team, Channel string

	// hook is where an answer that only the user sees can be sent, trigger what opens
	// a view before them.
	hook, trigger string
}

// slash is a command that somebody typed.
type slash struct {
	origin
	Command, Text string
}

// press is a click on a button.
type press struct {
	origin
	TS, Action, Value string
}

// submission is a view that somebody has filled in.
type submission struct {
	origin
	Callback, Private string
	Typed             string
}

// interaction is the JSON of clicks and submissions.
type interaction struct {
	Type string `json:"type"`
	User struct {
		ID   string `json:"id"`
		Team string `json:"team_id"`
	} `json:"user"`
	Team struct {
		ID string `json:"id"`
	} `json:"team"`
	Container struct {
		TS      string `json:"message_ts"`
		Channel string `json:"channel_id"`
	} `json:"container"`
	Channel struct {
		ID string `json:"id"`
	} `json:"channel"`
	Trigger string `json:"trigger_id"`
	Hook    string `json:"response_url"`
	Actions []struct {
		ID    string `json:"action_id"`
		Value string `json:"value"`
	} `json:"actions"`
	View struct {
		Callback string `json:"callback_id"`
		Private  string `json:"private_metadata"`
		State    struct {
			Values map[string]map[string]struct {
				Value string `json:"value"`
			} `json:"values"`
		} `json:"state"`
	} `json:"view"`
}

// read reads an envelope: a slash, a press or a submission, nil for what is none
// of ours.
func read(e socket.Envelope) (any, error) {
	switch e.Type {
	case typeSlash:
		return readSlash(e.Payload)
	case typeInteract:
		return readInteraction(e.Payload)
	}
	return nil, nil
}

// errNobody refuses what does not say who asks: nothing could be allowed to nobody.
var errNobody = errors.New("it does not say who asks")

// readSlash reads a command.
func readSlash(raw []byte) (any, error) {
	var p struct {
		User    string `json:"user_id"`
		Team    string `json:"team_id"`
		Channel string `json:"channel_id"`
		Hook    string `json:"response_url"`
		Trigger string `json:"trigger_id"`
		Command string `json:"command"`
		Text    string `json:"text"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("cannot read a command: %w", err)
	}
	if p.User == "" || p.Channel == "" {
		return nil, errNobody
	}
	return slash{origin{p.User, p.Team, p.Channel, p.Hook, p.Trigger}, p.Command, p.Text}, nil
}

// readInteraction reads a click or a submission.
func readInteraction(raw []byte) (any, error) {
	var p interaction
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("cannot read a click: %w", err)
	}
	o := origin{p.User.ID, cmp.Or(p.User.Team, p.Team.ID), cmp.Or(p.Channel.ID, p.Container.Channel), p.Hook, p.Trigger}
	if o.User == "" {
		return nil, errNobody
	}
	switch {
	case p.Type == typePress && len(p.Actions) == 1:
		return press{o, p.Container.TS, p.Actions[0].ID, p.Actions[0].Value}, nil
	case p.Type == typeSubmit:
		return submission{o, p.View.Callback, p.View.Private, p.View.State.Values[fieldBlock][fieldAction].Value}, nil
	}
	return nil, nil
}
