package poster

import (
	"context"
	"errors"

	"provision-plugins/shared/model"
	"provision-plugins/slack/channels"
	"provision-plugins/slack/outbox"
)

// channel is the ID of a channel, which may be given by its name. The name is looked
// up once: a channel that is renamed stays the same one.
func (p *Poster) channel(ctx context.Context, channel string) (id string, err error) {
	if !channels.Named(channel) {
		return channel, nil
	}
	p.mu.Lock()
	id = p.ids[channel]
	p.mu.Unlock()
	if id != "" {
		return id, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if id, err = channels.Find(ctx, p.api, channel); err != nil {
		return "", p.unfound(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids[channel] = id
	return id, nil
}

// unfound is what it means that a name could not be looked up: nothing is posted, and
// where the app may not look, the messages of this channel alone wait.
func (p *Poster) unfound(err error) error {
	if model.KindOf(err) == model.NotFound {
		return &outbox.Failure{Verdict: outbox.NoChannel, Err: err}
	}
	f := &outbox.Failure{}
	if judged := p.judge(err); !errors.As(judged, &f) {
		return judged
	}
	f.Verdict, f.Unlikely = outbox.Later, false
	if Code(err) == "missing_scope" {
		f.All = false
		f.Err = errors.New("the app lacks the scope channels:read to find a channel by its name; add it, or give the channel's ID: " + p.Clean(err))
	}
	return f
}
