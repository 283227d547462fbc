// Package chat is the control room: what people type and click in Slack, held
// against who may do what, confirmed where it takes something away, and done as
// actions of the endpoint in their names.
//
// A request that changes something goes one way: asked, taken, done. Each step is
// on disk before what it allows, and the endpoint has written down who asked and
// who decided before anything is sent to a machine. A click that comes twice, late,
// from somebody else, or after something has changed finds the way closed.
package chat

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	api "github.com/slack-go/slack"
	"golang.org/x/time/rate"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/slack/chat/button"
	"provision-plugins/slack/chat/command"
	"provision-plugins/slack/chat/grant"
	"provision-plugins/slack/silence"
	"provision-plugins/slack/socket"
)

const (
	// maxAtOnce bounds what is worked on at once.
	maxAtOnce = 64
	// perMinute and burst bound what one person may ask for.
	perMinute, burst = 60, 20
	// maxPeople bounds how many people are remembered for that.
	maxPeople = 10_000
	// endTimeout bounds showing how a request ended.
	endTimeout = 3 * time.Second
	// lookEvery is the time between two looks for requests that have expired.
	lookEvery = time.Second
)

// Desk is what incidents and silences are kept by.
type Desk interface {
	// Ack notes that somebody looks after an incident.
	Ack(ctx context.Context, incident, by string) error

	// Silence has nothing told of machines for a while, and returns the silence's ID.
	Silence(ctx context.Context, s silence.Silence) (id string, err error)

	// EndSilence ends one.
	EndSilence(ctx context.Context, id string) error

	// Silences lists those of now and of later.
	Silences() []silence.Silence
}

// Options say how a Room works.
type Options struct {
	// URL is the Web API's address, with a final slash; Token the bot's.
	URL, Token string

	// Client makes the calls of the Web API.
	Client *http.Client

	// Endpoint is where actions are asked for.
	Endpoint *client.Client

	// Plugin is the provider's name, which is the type of the events that tell what
	// was asked for and decided.
	Plugin string

	// Policy says who may do what.
	Policy *grant.Policy

	// Dir is the state directory.
	Dir string

	// Desk keeps incidents and silences.
	Desk Desk

	// Now is the clock; time.Now if nil.
	Now func() time.Time

	// Logger gets what goes wrong.
	Logger *slog.Logger
}

// Room takes what people type and click. Make it with Open.
type Room struct {
	opts   Options
	signer *button.Signer
	book   *book
	talk   *talk
	fleet  *fleet
	ctx    context.Context // of what is worked on; ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup
	gate   chan struct{} // holds a token of each that is worked on

	mu     sync.Mutex // guards people
	people map[string]*rate.Limiter
}

// Open goes on with what an earlier room of the state directory left: what was
// being done when it ended is told to be cut short, and not done again.
func Open(o Options) (*Room, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	base, err := url.Parse(o.URL)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot use Slack: %q is no address", o.URL)
	}
	signer, err := button.Open(o.Dir)
	if err != nil {
		return nil, err
	}
	b, err := openBook(o.Dir)
	if b == nil {
		return nil, model.Errorf(model.Invalid, "cannot take commands: %w", err)
	}
	if err != nil {
		o.Logger.Error("some requests of before cannot be read", "cause", err)
	}
	r := &Room{
		opts: o, signer: signer, book: b, people: map[string]*rate.Limiter{}, gate: make(chan struct{}, maxAtOnce),
		talk: &talk{
			api:  api.New(o.Token, api.OptionAPIURL(o.URL), api.OptionHTTPClient(o.Client)),
			http: o.Client, base: base, log: o.Logger, now: o.Now, members: map[string]membership{},
		},
		fleet: &fleet{client: o.Endpoint, plugin: o.Plugin},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.work.Go(r.look)
	return r, nil
}

// Close ends what is being worked on. What was sent to a machine goes on at the
// endpoint; what was not sent is not sent any more.
func (r *Room) Close() {
	r.cancel()
	r.work.Wait()
}

// Waiting tells how many requests wait to be confirmed, and how many are being
// done.
func (r *Room) Waiting() (toConfirm, doing int) { return len(r.book.in(asked)), len(r.book.in(taken)) }

// look tells of what the last room left, and of what expires.
func (r *Room) look() {
	for _, t := range r.book.in(taken) {
		r.end(t, interrupted, "cut short: the plugin was started again. What was sent to machines went on; nothing was sent twice, and the rest was not sent. `runs` tells what was done")
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			return
		}
		now := r.opts.Now()
		for _, t := range r.book.in(asked) {
			if now.Before(t.Expires) {
				continue
			}
			if t, err := r.book.move(t.ID, expired, "", now); err == nil {
				r.end(t, expired, "expired; nothing was done")
			}
		}
		if err := r.book.forget(now); err != nil {
			r.opts.Logger.Warn("cannot forget requests of before", "cause", err)
		}
	}
}

// end tells that a request has come to its end without being done.
func (r *Room) end(t ticket, how state, words string) {
	if err := r.book.finish(t.ID, how); err != nil {
		r.opts.Logger.Error("cannot note how a request ended", "request", t.ID, "cause", err)
	}
	if err := r.fleet.tell(r.ctx, t.User, string(how), t.ID, t.record(words)); err != nil {
		r.opts.Logger.Error("cannot write down how a request ended", "request", t.ID, "cause", err)
	}
	if t.TS == "" { // it was never shown in the channel
		return
	}
	// It is shown while the room closes, too: buttons that do nothing more would stay.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), endTimeout)
	defer cancel()
	if err := r.talk.edit(ctx, t.Channel, t.TS, t.shown(words)); err != nil {
		r.opts.Logger.Warn("cannot show how a request ended", "request", t.ID, "cause", err)
	}
}

// Handle takes an envelope. What it asks for is worked on in the background.
func (r *Room) Handle(_ context.Context, e socket.Envelope) any {
	what, err := read(e)
	if err != nil {
		r.opts.Logger.Warn("Slack said something that cannot be read", "cause", err)
		return nil
	}
	switch w := what.(type) {
	case slash:
		return r.take(w.origin, func(a *asker) { r.typed(a, w) })
	case press:
		return r.take(w.origin, func(a *asker) { r.pressed(a, w) })
	case submission:
		if w.Callback != viewConfirm {
			return nil
		}
		return r.submitted(w)
	}
	return nil
}

// asker is who has asked, and the way to answer.
type asker struct {
	ctx context.Context
	origin
	reply *reply
	who   grant.Who
	// unsure is why it is not known in which groups the user is, nil if it is.
	unsure error
}

// say answers so that nobody else sees it. The text is mrkdwn.
func (a *asker) say(text string) { a.reply.say(a.ctx, text) }

// take works on something in the background, and answers at once if there is too
// much to do.
func (r *Room) take(o origin, do func(a *asker)) any {
	if !r.allow(o.User) {
		return map[string]any{"response_type": "ephemeral", "text": "That is too much at once; try again in a minute."}
	}
	select {
	case r.gate <- struct{}{}:
	default:
		return map[string]any{"response_type": "ephemeral", "text": "Too much is going on; try again in a minute."}
	}
	r.work.Go(func() {
		defer func() { <-r.gate }()
		do(r.asker(o, false))
	})
	return nil
}

// asker finds out who an origin is. fresh asks Slack for the user groups anew.
func (r *Room) asker(o origin, fresh bool) *asker {
	a := &asker{ctx: r.ctx, origin: o, reply: r.talk.reply(o)}
	groups, err := r.talk.groupsOf(r.ctx, o.User, r.opts.Policy.Groups(), fresh)
	a.who, a.unsure = grant.Who{User: o.User, Team: o.Team, Channel: o.Channel, Groups: groups}, err
	return a
}

// allow bounds how often somebody may ask.
func (r *Room) allow(user string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.people[user]
	if l == nil {
		if len(r.people) >= maxPeople {
			clear(r.people)
		}
		l = rate.NewLimiter(rate.Every(time.Minute/perMinute), burst)
		r.people[user] = l
	}
	return l.Allow()
}

// errStranger is the refusal of who may do nothing. It tells nothing of what there
// is.
var errStranger = errors.New("you may not do that here")

// refuse tells somebody no, and has it written down.
func (r *Room) refuse(a *asker, id string, c *command.Command, why error) {
	what := map[string]any{"User": a.User, "Channel": a.Channel, "Why": oneLine(model.AsError(why).Text())}
	if c != nil {
		what["Command"], what["Machines"] = c.Name, c.Machines
	}
	if err := r.fleet.tell(r.ctx, a.User, "refused", id, what); err != nil {
		r.opts.Logger.WarnContext(r.ctx, "cannot write down a refusal", "user", a.User, "cause", err)
	}
	a.say(":no_entry: " + escape(model.AsError(why).Text()))
}

// fail tells somebody of what went wrong on the way.
func (r *Room) fail(a *asker, err error) {
	r.opts.Logger.WarnContext(r.ctx, "a command failed", "user", a.User, "cause", err)
	a.say(":warning: " + escape(model.AsError(err).Text()))
}
