// Package poster puts the outbox's messages into Slack, by the Web API. It makes
// each call once, and says of every answer what it means: posted, surely not
// posted, or in doubt.
package poster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	api "github.com/slack-go/slack"

	"provision-plugins/shared/model"
	"provision-plugins/slack/outbox"
)

const (
	// callTimeout bounds one call of the Web API.
	callTimeout = 15 * time.Second
	// eventType marks our messages; the payload holds the entry's ID.
	eventType = "oob_outbox"
	payloadID = "id"
	// skew is how far Slack's clock may be behind ours.
	skew = time.Minute
	// maxPages bounds a lookup, and pageSize its pages.
	maxPages = 10
	pageSize = 200
	// maxPlain is how long a text without layout may be, in characters.
	maxPlain = 3_500
)

// Message is what an outbox entry holds. Its texts are Slack's mrkdwn, escaped.
type Message struct {
	// Text is all of it in short: what notifications show, and what remains when
	// the layout is refused.
	Text string `json:"text"`

	// Color is that of the bar beside the blocks after the first, as "#2eb886"; empty
	// for none.
	Color string `json:"color,omitempty"`

	// Blocks is the layout, a list of Block Kit's blocks; empty for none.
	Blocks json.RawMessage `json:"blocks,omitempty"`

	// File is uploaded in place of all that, nil for none; Text is for where no
	// file can be.
	File *File `json:"file,omitempty"`
}

// Options say whose messages these are.
type Options struct {
	// URL is the API's address, with a final slash.
	URL string

	// Token is the bot token.
	Token string

	// Client makes the calls; its transport comes from Transport.
	Client *http.Client
}

// Poster is an outbox.Sender.
type Poster struct {
	opts Options
	api  *api.Client

	mu  sync.Mutex        // guards ids
	ids map[string]string // of channels that are given by their names
}

// New returns a poster. Nothing is called.
func New(o Options) *Poster {
	return &Poster{opts: o, api: api.New(o.Token, api.OptionAPIURL(o.URL), api.OptionHTTPClient(o.Client)), ids: map[string]string{}}
}

// Send posts a message, or edits the root of its incident.
func (p *Poster) Send(ctx context.Context, d outbox.Delivery) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var m Message
	if err := model.Unmarshal(d.Message, &m); err != nil {
		return "", &outbox.Failure{Verdict: outbox.Never, Err: fmt.Errorf("cannot read the message: %w", err)}
	}
	var err error
	if d.Channel, err = p.channel(ctx, d.Channel); err != nil {
		return "", err
	}
	if m.File != nil && !d.Plain {
		return p.upload(ctx, d, m.File)
	}
	var ts string
	if d.Kind == outbox.Update && d.Root != "" {
		_, ts, _, err = p.api.UpdateMessageContext(ctx, d.Channel, d.Root, p.options("chat.update", d, m)...)
	} else {
		_, ts, err = p.api.PostMessageContext(ctx, d.Channel, p.options("chat.postMessage", d, m)...)
	}
	if err != nil {
		return "", p.judge(err)
	}
	return ts, nil
}

// options are a message's as slack-go takes them. Layouts are raw JSON here, so
// that what the outbox kept is what goes out.
func (p *Poster) options(method string, d outbox.Delivery, m Message) []api.MsgOption {
	text := m.Text
	if d.Plain {
		text = cut(text, maxPlain)
	}
	out := []api.MsgOption{
		api.MsgOptionText(text, false),
		api.MsgOptionDisableLinkUnfurl(),
		api.MsgOptionMetadata(api.SlackMetadata{EventType: eventType, EventPayload: map[string]any{payloadID: d.ID}}),
	}
	if d.Kind == outbox.Reply && d.Root != "" {
		out = append(out, api.MsgOptionTS(d.Root))
	}
	if d.Kind == outbox.Update && d.Root != "" {
		out = append(out, api.MsgOptionUpdate(d.Root))
	}
	return append(out, api.UnsafeMsgOptionEndpoint(p.opts.URL+method, func(v url.Values) {
		v.Set("client_msg_id", d.ID)
		blocks, attachments := m.layout()
		if d.Plain {
			blocks, attachments = nil, nil
		}
		if blocks != nil {
			v.Set("blocks", string(blocks))
		}
		switch {
		case attachments != nil:
			v.Set("attachments", string(attachments))
		case v.Get("ts") != "":
			v.Set("attachments", "[]") // those of before stay otherwise
		}
	}))
}

// layout is the layout as Slack takes it. The first block stands by itself: Slack
// shows the text of a message as well as its attachments, unless there are blocks
// beside them. The others are behind the bar, where there is a color for one.
func (m *Message) layout() (blocks, attachments json.RawMessage) {
	var list []json.RawMessage
	if m.Color == "" || model.Unmarshal(m.Blocks, &list) != nil || len(list) < 2 {
		return m.Blocks, nil
	}
	blocks, _ = json.Marshal(list[:1]) // JSON that was valid, and strings: this encodes
	attachments, _ = json.Marshal([]map[string]any{{"color": m.Color, "fallback": m.Text, "blocks": list[1:]}})
	return blocks, attachments
}

// cut shortens a text to a number of characters.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// Find looks for a message where it would be: in its channel or in its thread,
// since the first attempt at it.
func (p *Poster) Find(ctx context.Context, d outbox.Delivery) (string, error) {
	var m Message
	file := ""
	if model.Unmarshal(d.Message, &m) == nil && m.File != nil {
		file = m.File.name(d.ID)
	}
	var f *outbox.Failure
	var err error
	if d.Channel, err = p.channel(ctx, d.Channel); errors.As(err, &f) && f.Verdict == outbox.NoChannel {
		return "", fmt.Errorf("cannot look for a message (%w): %w", f, outbox.ErrBlind)
	} else if err != nil {
		return "", err
	}
	oldest := strconv.FormatInt(d.Since.Add(-skew).Unix(), 10) + ".000000"
	cursor := ""
	for range maxPages {
		messages, next, err := p.page(ctx, d, oldest, cursor)
		if err != nil {
			return "", err
		}
		for i := range messages {
			if !ours(&messages[i], d.ID, file) {
				continue
			}
			if messages[i].Timestamp == "" {
				return "", errors.New("cannot look for a message: one in the answer has no name")
			}
			return messages[i].Timestamp, nil
		}
		if cursor = next; cursor == "" {
			return "", nil
		}
	}
	return "", fmt.Errorf("too many messages since %s to look for one: %w", d.Since.UTC().Format(time.RFC3339), outbox.ErrBlind)
}

// page reads some messages of the channel or thread.
func (p *Poster) page(ctx context.Context, d outbox.Delivery, oldest, cursor string) (list []api.Message, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if d.Kind == outbox.Reply && d.Root != "" {
		list, _, next, err = p.api.GetConversationRepliesContext(ctx, &api.GetConversationRepliesParameters{
			ChannelID: d.Channel, Timestamp: d.Root, Oldest: oldest, Cursor: cursor, Limit: pageSize, IncludeAllMetadata: true,
		})
	} else {
		var resp *api.GetConversationHistoryResponse
		resp, err = p.api.GetConversationHistoryContext(ctx, &api.GetConversationHistoryParameters{
			ChannelID: d.Channel, Oldest: oldest, Cursor: cursor, Limit: pageSize, IncludeAllMetadata: true,
		})
		if err == nil {
			list, next = resp.Messages, resp.ResponseMetaData.NextCursor
		}
	}
	if err == nil && list == nil {
		return nil, "", errors.New("cannot look for a message: the answer has no list of messages")
	}
	if err == nil {
		return list, next, nil
	}
	switch code := Code(err); code {
	case "thread_not_found":
		return nil, "", nil
	case "missing_scope", "not_in_channel", "channel_not_found", "no_permission", "not_allowed_token_type", "method_not_supported_for_channel_type":
		return nil, "", fmt.Errorf("cannot look for a message (%s): %w", code, outbox.ErrBlind)
	}
	return nil, "", p.judge(err)
}

// ours tells whether a message is that of an entry, or has its file.
func ours(m *api.Message, id, file string) bool {
	if file != "" && slices.ContainsFunc(m.Files, func(f api.File) bool { return f.Name == file }) {
		return true
	}
	if m.Metadata.EventType == eventType && m.Metadata.EventPayload[payloadID] == id {
		return true
	}
	return m.ClientMsgID == id
}

// Code is the error code in Slack's answer, "" for any other error.
func Code(err error) string {
	var refused api.SlackErrorResponse
	if errors.As(err, &refused) {
		return refused.Err
	}
	return ""
}

// Clean is an error's text without the token: slack-go sends it in the body and
// may quote what it sent.
func (p *Poster) Clean(err error) string {
	return strings.Join(strings.Fields(model.Redact(err.Error(), []string{p.opts.Token})), " ")
}
