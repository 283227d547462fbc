// Package metal is the client of the Packet API (later Equinix Metal) that the
// driver uses: packngo for requests and types, and around it what packngo does not
// do. Each call has a client of its own over one transport with few connections;
// it ends with its context, its answer is bounded, its failure has a kind, reads are
// tried again, and what changes something is sent once.
package metal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/shared/model"
)

// DeadURL was the address of the service, which closed on 2026-06-30. packngo has
// it as its default.
const DeadURL = "https://api.equinix.com/metal/v1/"

// deadHosts are the hosts that the service had.
var deadHosts = []string{"api.equinix.com", "api.packet.net"}

// Options say where the API is and how to treat it. The zero values of all but URL
// and Key work.
type Options struct {
	// URL is the address of the API, as NormalizeURL returns it.
	URL string
	// Conns is how many connections there are at most; default 16.
	Conns int
	// Try bounds one try of a request; default 10 s.
	Try time.Duration
	// Tries is how often a read is tried at most; default 3.
	Tries int
	// Wait bounds the wait before the second try, which doubles; default 250 ms.
	Wait time.Duration
	// Pages is how many pages a list has at most; default 1000.
	Pages int
	// Rate and Burst are of the token bucket of each key: requests a second (default
	// 20), and how many at once (default 600).
	Rate  float64
	Burst int
	// Logger gets debug lines, and what the service says of its end; nil discards.
	Logger *slog.Logger
	// Now is the clock that X-RateLimit-Reset is compared with; time.Now by default.
	Now func() time.Time
}

// withDefaults fills what is not set.
func (o Options) withDefaults() Options {
	o.Conns = cmp.Or(o.Conns, 16)
	o.Try = cmp.Or(o.Try, 10*time.Second)
	o.Tries = cmp.Or(o.Tries, 3)
	o.Wait = cmp.Or(o.Wait, 250*time.Millisecond)
	o.Pages = cmp.Or(o.Pages, 1000)
	o.Rate = cmp.Or(o.Rate, 20)
	o.Burst = cmp.Or(o.Burst, 600)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Client asks one API, with any number of keys. Its methods may be called from many
// goroutines at once.
type Client struct {
	opts      Options
	dead      bool
	transport *http.Transport
	buckets   *buckets
	slots     chan struct{} // holds a value for each request at work
}

// New returns a client. It opens nothing before its first request.
func New(o Options) *Client {
	o = o.withDefaults()
	dialer := &net.Dialer{Timeout: min(o.Try, 10*time.Second)}
	return &Client{
		opts: o,
		dead: isDead(o.URL),
		transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxConnsPerHost:        o.Conns,
			MaxIdleConnsPerHost:    o.Conns,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
		buckets: newBuckets(o),
		slots:   make(chan struct{}, o.Conns),
	}
}

// Close closes the connections that rest.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// URL is the address of the API.
func (c *Client) URL() string { return c.opts.URL }

// NormalizeURL checks the address of an API and returns it with the final slash
// without which packngo would drop its last element. Plain http is for loopback
// only: the key travels in a header. An empty text is DeadURL.
func NormalizeURL(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return DeadURL, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		// The cause, or the text, might show a password.
		return "", model.Errorf(model.Invalid, "it is not an address like https://HOST/metal/v1/")
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "::1" || strings.HasPrefix(u.Hostname(), "127.") && net.ParseIP(u.Hostname()) != nil
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return "", model.Errorf(model.Invalid, "%.200q must be https (http is for loopback only)", text)
	}
	u.Path = strings.TrimRight(u.Path, "/") + "/"
	u.RawPath = ""
	return u.String(), nil
}

// isDead reports whether an address is that of the service that closed.
func isDead(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	for _, host := range deadHosts {
		if strings.EqualFold(u.Hostname(), host) {
			return true
		}
	}
	return false
}

// Key is the API as one key sees it.
type Key struct {
	client *Client
	key    model.Secret
}

// Key returns the API as a key sees it.
func (c *Client) Key(key model.Secret) *Key { return &Key{client: c, key: key} }

// task is one request.
type task struct {
	name string // for people: "read the device"
	// changes marks a request that is sent once.
	changes bool
	// device marks one about a device, for which 403 says that it is gone.
	device bool
	send   func(c *packngo.Client) error
}

// do carries out a task: a read with more than one try, any other with one. Its
// error is a *Error, or one without a kind that says only that the time is over.
func (k *Key) do(ctx context.Context, t task) error {
	var last *Error
	for try := 1; ; try++ {
		err := k.once(ctx, t)
		switch {
		case err == nil:
			return nil
		case !err.over:
			last = err
		case last == nil:
			return fmt.Errorf("%s: %w", err.Text, cmp.Or(err.cause, context.DeadlineExceeded))
		default:
			return last // what was known before says more
		}
		wait, again := k.again(ctx, t, try, err)
		if !again || !pause(ctx, wait) {
			return err
		}
	}
}

// again reports whether a task may be tried once more, and how long to wait before:
// as long as the service says, else up to a bound that doubles, fully jittered, so
// that a fleet does not come back at once.
func (k *Key) again(ctx context.Context, t task, try int, err *Error) (time.Duration, bool) {
	first := k.client.opts.Wait
	if t.changes || !err.Retry || try >= k.client.opts.Tries {
		return 0, false
	}
	wait := rand.N(first << min(try-1, 6))
	if err.RetryAfter > 0 {
		wait = err.RetryAfter + rand.N(first)
	}
	deadline, bounded := ctx.Deadline()
	return wait, !bounded || time.Until(deadline) > wait
}

// once makes one try of a task with a client of its own: packngo's has no context,
// and writes to a field of its own without a lock.
func (k *Key) once(caller context.Context, t task) *Error {
	x := &exchange{client: k.client, caller: caller, changes: t.changes}
	if err := k.enter(caller); err != nil {
		return k.explain(t, x, err)
	}
	defer func() { <-k.client.slots }()
	ctx, cancel := context.WithTimeout(caller, k.client.opts.Try)
	defer cancel()
	x.ctx = ctx
	c, err := packngo.NewClient(
		packngo.WithAuth(consumer, string(k.key)),
		packngo.WithBaseURL(k.client.opts.URL),
		packngo.WithHTTPClient(&http.Client{Transport: x, CheckRedirect: noRedirect}),
	)
	if err == nil {
		err = t.send(c)
	}
	x.drain()
	if err == nil && x.fault == nil {
		return nil
	}
	return k.explain(t, x, cmp.Or(x.fault, err))
}

// enter waits until the key may make a request, and for one of the connections:
// that time is not the request's.
func (k *Key) enter(ctx context.Context) error {
	if err := k.client.buckets.take(ctx, k.key); err != nil {
		return err
	}
	select {
	case k.client.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errors.Join(errEarly, ctx.Err())
	}
}

// consumer tells the service who asks.
const consumer = "packet-ipmi plugin"

// noRedirect refuses redirects: an API does not redirect, and a key must not follow
// one.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// pause waits for d and reports whether there is time left after it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
