package metal

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"provision-plugins/shared/model"
)

// buckets hold back requests, for each key by itself: so many a second, and none
// while the service wants none.
type buckets struct {
	rate  rate.Limit
	burst int
	now   func() time.Time

	mu  sync.Mutex // guards the below
	all map[[sha256.Size]byte]*bucket
}

// bucket is that of one key.
type bucket struct {
	tokens *rate.Limiter

	mu    sync.Mutex // guards until
	until time.Time  // the service wants no request before it
}

// maxBuckets bounds how many keys are remembered. They are as many as there are
// accounts.
const maxBuckets = 1000

// newBuckets makes them.
func newBuckets(o Options) *buckets {
	return &buckets{rate: rate.Limit(o.Rate), burst: o.Burst, now: o.Now, all: map[[sha256.Size]byte]*bucket{}}
}

// of is the bucket of a key.
func (b *buckets) of(key model.Secret) *bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := sha256.Sum256([]byte(key))
	if b.all[id] == nil {
		if len(b.all) >= maxBuckets {
			clear(b.all)
		}
		b.all[id] = &bucket{tokens: rate.NewLimiter(b.rate, b.burst)}
	}
	return b.all[id]
}

// held is the error of a request that was not sent because its key has made too
// many.
type held struct{ left time.Duration }

// Error says so.
func (h *held) Error() string { return "too many requests with this key" }

// take waits until a key may make a request. One that could not be made in the time
// there is fails at once.
func (b *buckets) take(ctx context.Context, key model.Secret) error {
	k := b.of(key)
	k.mu.Lock()
	left := k.until.Sub(b.now())
	k.mu.Unlock()
	if left > 0 {
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= left || !pause(ctx, left) {
			return &held{left}
		}
	}
	if ctx.Err() != nil {
		return errors.Join(errEarly, ctx.Err())
	}
	r := k.tokens.Reserve()
	wait := r.Delay()
	if deadline, ok := ctx.Deadline(); ok && wait > 0 && time.Until(deadline) <= wait {
		r.Cancel()
		return &held{wait}
	}
	if wait > 0 && !pause(ctx, wait) {
		r.Cancel()
		return errors.Join(errEarly, ctx.Err())
	}
	return nil
}

// errEarly marks the end of a context before anything was sent.
var errEarly = errors.New("not sent")

// hold lets no request of a key through for a time.
func (b *buckets) hold(key model.Secret, d time.Duration) {
	k := b.of(key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if until := b.now().Add(d); until.After(k.until) {
		k.until = until
	}
}
