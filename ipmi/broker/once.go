package broker

import "context"

// OpenOnce is Open for who wants to know whether the login works, and not to wait
// or to insist: a handshake that is refused is the only one, also where a session
// that was open turns out to be lost. Target.Again says what to do with a login
// that was refused before.
func (b *Broker) OpenOnce(ctx context.Context, t Target) (*Handle, error) {
	o, warm, err := b.use(&t)
	if err != nil {
		return nil, err
	}
	h := &Handle{owner: o, login: t.Login, once: true}
	if warm {
		return h, nil
	}
	if !t.Again {
		err = b.breaker.check(t.Peer, t.Login)
	}
	if err == nil {
		_, err = o.do(ctx, &job{
			first: true,
			work: func(ctx context.Context, p *place) ([]byte, error) {
				p.once, p.again = true, t.Again
				_, err := o.ensure(ctx, t.Login, p, false)
				return nil, err
			},
		})
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}
