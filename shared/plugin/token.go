package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

const (
	// trustFor and distrustFor are how long an endpoint's word on a token counts.
	trustFor    = 30 * time.Second
	distrustFor = 5 * time.Second
	// probeEvery is how often it is tried out that the endpoint refuses what is
	// no token.
	probeEvery = 10 * time.Minute
	// confirmTimeout bounds the question.
	confirmTimeout = 10 * time.Second
	// maxVerdicts bounds the tokens of which the endpoint's word is kept, and
	// maxConfirms how many are asked about at a time.
	maxVerdicts = 1024
	maxConfirms = 8
)

// tokens asks the endpoint about bearer tokens.
type tokens struct {
	// ask makes a request that the endpoint answers to the holder of a token only.
	ask   func(ctx context.Context, token string) error
	now   func() time.Time
	slots chan struct{} // holds a value for each question that is being asked

	mu       sync.Mutex                    // guards the below
	verdicts map[[sha256.Size]byte]verdict // by the token's hash
	probed   time.Time                     // when the endpoint last refused what is no token
}

// verdict is the endpoint's word on a token.
type verdict struct {
	err   *model.Error // nil for a good one
	until time.Time
}

// newTokens makes one that asks the endpoint of the environment.
func newTokens() *tokens {
	return &tokens{ask: askInfo, now: time.Now, slots: make(chan struct{}, maxConfirms), verdicts: map[[sha256.Size]byte]verdict{}}
}

// askInfo asks for the endpoint's info with a token. It goes to RS_ENDPOINT and
// not to a local proxy, which may know its peers by other means than a token.
func askInfo(ctx context.Context, token string) error {
	c, err := client.New(client.Options{Endpoint: endpointURL(), Token: token})
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Get(ctx, "info", nil)
}

// confirm returns nil for a token that the endpoint takes.
func (t *tokens) confirm(ctx context.Context, token string) *model.Error {
	sum := sha256.Sum256([]byte(token))
	if v, ok := t.known(sum); ok {
		return v.err
	}
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return forbidden("its token cannot be confirmed: %w", context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	v := verdict{err: t.question(ctx, token), until: t.now().Add(trustFor)}
	if v.err != nil {
		v.until = t.now().Add(distrustFor)
	}
	if ctx.Err() == nil {
		t.keep(sum, v)
	}
	return v.err
}

// question asks the endpoint.
func (t *tokens) question(ctx context.Context, token string) *model.Error {
	if e := t.probe(ctx); e != nil {
		return e
	}
	err := t.ask(ctx, token)
	switch {
	case err == nil:
		return nil
	case model.KindOf(err) == model.Forbidden:
		return forbidden("the endpoint does not take its token")
	}
	return forbidden("its token cannot be confirmed: %w", err)
}

// probe makes sure that the endpoint refuses what is no token: the word of one
// that answers anybody is worth nothing.
func (t *tokens) probe(ctx context.Context) *model.Error {
	t.mu.Lock()
	fresh := !t.probed.IsZero() && t.now().Sub(t.probed) < probeEvery
	t.mu.Unlock()
	if fresh {
		return nil
	}
	err := t.ask(ctx, hex.EncodeToString(newKey()))
	switch {
	case err == nil:
		return forbidden("its token cannot be confirmed: the endpoint answers anybody")
	case model.KindOf(err) != model.Forbidden:
		return forbidden("its token cannot be confirmed: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.probed = t.now()
	return nil
}

// known returns the endpoint's word if it is fresh.
func (t *tokens) known(sum [sha256.Size]byte) (verdict, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.verdicts[sum]
	return v, ok && t.now().Before(v.until)
}

// keep keeps the endpoint's word. When there are too many all are forgotten.
func (t *tokens) keep(sum [sha256.Size]byte, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.verdicts) >= maxVerdicts {
		clear(t.verdicts)
	}
	t.verdicts[sum] = v
}
