package redfish

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/stmcginnis/gofish"

	"provision-plugins/shared/model"
)

// loginBound is what a login may take: some BMCs need seconds for it.
const loginBound = 15 * time.Second

// bmc is one BMC with one login, for all callers. What is not fixed is guarded by
// the pool's mutex.
type bmc struct {
	pool   *Pool
	key    key
	target Target
	wire   *wire
	http   *http.Client

	held     int         // callers, and the login under way
	farewell *time.Timer // set while nobody holds it
	api      *gofish.APIClient
	login    *login              // under way
	systems  []string            // the paths of the computer systems; nil until read
	resets   map[string][]string // reset types that are allowed, by the path of the system
	restarts map[string]string   // when a system was last reset, before what is being watched
}

// login is one that is under way. Its result is written before done is closed.
type login struct {
	done chan struct{}
	err  error
}

// newBMC returns a BMC without a session.
func newBMC(p *Pool, k key, t *Target) *bmc {
	b := &bmc{pool: p, key: k, target: *t, resets: map[string][]string{}, restarts: map[string]string{}}
	b.wire = newWire(t, p.opts.Roots)
	b.http = &http.Client{Transport: b.wire, CheckRedirect: b.wire.redirect}
	return b
}

// cancelFarewell keeps the session. The pool's lock is held.
func (b *bmc) cancelFarewell() {
	if b.farewell != nil && b.farewell.Stop() {
		b.pool.wg.Done()
	}
	b.farewell = nil
}

// client returns the client with the session, which it opens if there is none. One
// login is under way at a time; who waits for it may leave, and it goes on for the
// others: a session that nobody knows of would stay on the BMC.
func (b *bmc) client(ctx context.Context) (*gofish.APIClient, error) {
	p := b.pool
	p.mu.Lock()
	if b.api != nil {
		defer p.mu.Unlock()
		return b.api, nil
	}
	if p.closed {
		p.mu.Unlock()
		return nil, errStopped
	}
	l := b.login
	if l == nil {
		l = &login{done: make(chan struct{})}
		b.login = l
		b.held++
		p.wg.Go(func() { b.logIn(l) })
	}
	p.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.done:
	}
	if l.err != nil {
		return nil, l.err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.api == nil {
		return nil, errGone
	}
	return b.api, nil
}

// errGone is what a session ended with that was just opened.
var errGone = errors.New("the BMC has ended the session")

// logIn carries out a login.
func (b *bmc) logIn(l *login) {
	ctx, cancel := context.WithTimeout(b.pool.ctx, loginBound)
	defer cancel()
	api, err := b.connect(ctx)
	p := b.pool
	p.mu.Lock()
	b.login, l.err = nil, err
	if err == nil {
		b.api = api
	}
	p.mu.Unlock()
	close(l.done)
	p.give(b)
}

// connect makes a session, if there is leave to try. The certificate is checked by
// the handshake, before the password is sent.
func (b *bmc) connect(ctx context.Context) (*gofish.APIClient, error) {
	leave, err := b.pool.opts.Admit(&b.target)
	if err != nil {
		return nil, err
	}
	api, err := gofish.ConnectContext(ctx, gofish.ClientConfig{
		Endpoint: b.wire.endpoint(), HTTPClient: b.http, ReuseConnections: true, NoModifyTransport: true,
		Username: b.target.Username, Password: string(b.target.Password),
	})
	if err == nil {
		_, err = api.GetSession()
	}
	var status *statusError
	if errors.As(err, &status) && status.refusedLogin() {
		leave.Refused()
		err = model.Errorf(model.DeviceAuth, "cannot log in: %w; check ipmi/username and ipmi/password", status)
	}
	leave.Settle(err)
	return api, err
}

// forget drops a session that the BMC does not know any more.
func (b *bmc) forget(api *gofish.APIClient) {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	if b.api == api {
		b.api = nil
	}
}

// logout deletes the session on the BMC, and its connections here. Who does not
// answer ends the session by itself in time.
func (b *bmc) logout(ctx context.Context) {
	b.pool.mu.Lock()
	api := b.api
	b.api = nil
	b.pool.mu.Unlock()
	if api != nil {
		if session, err := api.GetSession(); err == nil {
			// On a connection of its own: a kept one may be closed by now.
			_ = api.WithContext(context.WithValue(ctx, freshKey{}, true)).Service.DeleteSession(session.ID)
		}
	}
	b.wire.close()
}
