package redfish

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net/netip"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// Leave is the permission to log in once. It must be settled.
type Leave interface {
	// Refused tells that the BMC refused the login.
	Refused()
	// Settle tells how the login ended.
	Settle(err error)
}

// Options are the settings of a Pool.
type Options struct {
	// Admit gives leave to log in, or tells why not: nothing is sent then.
	Admit func(t *Target) (Leave, error)
	// Idle is how long a session that nobody uses is kept; default 60 s.
	Idle time.Duration
	// Roots are the certificates that are trusted; nil are those of the system.
	Roots *x509.CertPool
}

// Target is the BMC to reach.
type Target struct {
	// Peer is the address, and Host the name or address its certificate is for.
	Peer netip.AddrPort
	Host string

	Username string
	Password model.Secret
	Trust    Trust
	// System is the Id of the computer system; "" is the only one.
	System string
	// UEFI tells that the machine's firmware boots the EFI way, Told that this is
	// known.
	UEFI, Told bool
}

// key tells BMCs, logins and ways of trust apart.
type key struct {
	peer  netip.AddrPort
	host  string
	trust Trust
	login [sha256.Size]byte
}

// key is that of a target. A NUL is in no user name.
func (t *Target) key() key {
	return key{t.Peer, t.Host, t.Trust, sha256.Sum256([]byte(t.Username + "\x00" + string(t.Password)))}
}

// Pool holds the sessions.
type Pool struct {
	opts  Options
	ctx   context.Context // of what no caller waits for; ends late in Stop
	abort context.CancelFunc
	wg    sync.WaitGroup // logins and farewells under way

	mu     sync.Mutex // guards the rest, and what bmc says
	closed bool
	bmcs   map[key]*bmc
}

// NewPool returns a pool. It holds nothing until the first Open.
func NewPool(o Options) *Pool {
	if o.Idle <= 0 {
		o.Idle = time.Minute
	}
	ctx, abort := context.WithCancel(context.Background())
	return &Pool{opts: o, ctx: ctx, abort: abort, bmcs: map[key]*bmc{}}
}

// errStopped is why nothing is opened any more.
var errStopped = errors.New("the plugin is stopping")

// take returns the BMC of a target and holds it until it is given back.
func (p *Pool) take(t *Target) (*bmc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, model.Errorf(model.Unreachable, "BMC %s: %w", t.Peer, errStopped)
	}
	k := t.key()
	b := p.bmcs[k]
	if b == nil {
		b = newBMC(p, k, t)
		p.bmcs[k] = b
	}
	b.held++
	b.cancelFarewell()
	return b, nil
}

// give gives a BMC back. The last one who does so starts its time.
func (p *Pool) give(b *bmc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.held--
	if b.held > 0 || p.closed {
		return
	}
	if b.api == nil {
		delete(p.bmcs, b.key)
		b.wire.close()
		return
	}
	p.wg.Add(1)
	b.farewell = time.AfterFunc(p.opts.Idle, func() {
		defer p.wg.Done()
		p.retire(b)
	})
}

// retire ends the session of a BMC that nobody uses.
func (p *Pool) retire(b *bmc) {
	p.mu.Lock()
	idle := b.held == 0 && !p.closed
	if idle {
		delete(p.bmcs, b.key)
	}
	p.mu.Unlock()
	if idle {
		ctx, cancel := context.WithTimeout(p.ctx, farewellBound)
		defer cancel()
		b.logout(ctx)
	}
}

// Len is how many BMCs are remembered, for tests.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.bmcs)
}

// The bounds of the end.
const (
	farewellBound = 5 * time.Second
	stopBound     = 2 * time.Second // for all at once, when the plugin stops
	loginGrace    = time.Second     // for logins that nobody waits for any more
	farewells     = 64              // at once
)

// Stop deletes all sessions. No session is in use by then. It takes its own time and
// not that of ctx, which is too short for a BMC's answer: what it leaves behind takes
// up the slots of the BMCs for half an hour.
func (p *Pool) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	all := make([]*bmc, 0, len(p.bmcs))
	for _, b := range p.bmcs {
		b.cancelFarewell()
		all = append(all, b)
	}
	clear(p.bmcs)
	p.mu.Unlock()
	grace := time.AfterFunc(loginGrace, p.abort)
	p.wg.Wait()
	grace.Stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBound)
	defer cancel()
	var leaving sync.WaitGroup
	turns := make(chan struct{}, farewells)
	for _, b := range all {
		turns <- struct{}{}
		leaving.Go(func() {
			defer func() { <-turns }()
			b.logout(ctx)
		})
	}
	leaving.Wait()
	p.abort()
	return nil
}
