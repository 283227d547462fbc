package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

const (
	// tokensPrefix is where the tokens in force are stored. A token whose record
	// is gone is void, whatever its signature.
	tokensPrefix = "tokens"
	// defaultTokenLife is a token's without a ttl, maxTokenLife the longest.
	defaultTokenLife = time.Hour
	maxTokenLife     = 366 * 24 * time.Hour
	// renewable is how long after a login tokens may be had for its tokens.
	renewable = 30 * 24 * time.Hour
	// maxTokens bounds the tokens of one user.
	maxTokens = 10_000
	// sweepEvery is the time between two looks for records that are past.
	sweepEvery = 10 * time.Minute
)

// tokenBook keeps the tokens of users.
type tokenBook struct {
	store  *store.Store
	log    *slog.Logger
	now    func() time.Time
	signer auth.Signer
	limit  int // of one user's tokens

	mu    sync.Mutex // guards swept
	swept time.Time
}

// open verifies a token: signed here, not past its time, not revoked.
func (b *tokenBook) open(text string) (*auth.Token, error) {
	t, err := b.signer.Open(text, b.now())
	if err != nil {
		return nil, err
	}
	if _, err := b.store.Get(tokensPrefix, t.ID); err != nil {
		return nil, errRevoked
	}
	return t, nil
}

// errRevoked is the refusal of a token whose record is gone.
var errRevoked = errors.New("the token was revoked")

// wanted is a token that somebody asks for.
type wanted struct {
	user   *record
	by     caller
	life   time.Duration
	limits []auth.Claims
}

// issue makes a token and notes it.
func (b *tokenBook) issue(ctx context.Context, w wanted) (string, error) {
	b.sweep(ctx)
	if n := len(b.list(w.user.key)); n >= b.limit {
		return "", model.Errorf(model.RateLimited, "cannot make a token: user %s has %d already; revoke some", w.user.key, n).On(usersPrefix, w.user.key)
	}
	now := b.now()
	t := &auth.Token{ID: newUUID(), User: w.user.key, Secret: secretSum(w.user), Renew: w.by.renew, Limits: w.limits}
	expires := now.Add(w.life)
	if t.Renew == 0 {
		t.Renew = now.Add(max(renewable, w.life)).Unix()
	} else if expires.Unix() > t.Renew {
		expires = time.Unix(t.Renew, 0)
	}
	t.Expires = expires.Unix()
	text, err := b.signer.Sign(t)
	if err != nil {
		return "", err
	}
	info := model.TokenInfo{ID: t.ID, User: t.User, By: w.by.name, Created: now.UTC(), Expires: expires.UTC(), Claims: []model.Claim{}}
	for _, limit := range w.limits {
		info.Claims = append(info.Claims, limit...)
	}
	raw, err := model.Marshal(info)
	if err != nil {
		return "", err
	}
	_, err = b.store.Create(ctx, store.Object{Prefix: tokensPrefix, ID: t.ID, Value: raw}, nil)
	return text, err
}

// list returns the tokens of a user that are in force.
func (b *tokenBook) list(user string) []model.TokenInfo {
	out := []model.TokenInfo{}
	for _, info := range b.all() {
		if info.User == user && b.now().Before(info.Expires) {
			out = append(out, info)
		}
	}
	return out
}

// all returns every token on record.
func (b *tokenBook) all() []model.TokenInfo {
	var out []model.TokenInfo
	for _, o := range b.store.List(tokensPrefix) {
		var info model.TokenInfo
		if err := model.Unmarshal(o.Value, &info); err != nil {
			b.log.Error("cannot read a token's record", "id", o.ID, "error", err)
			continue
		}
		out = append(out, info)
	}
	return out
}

// revoke voids one token of a user.
func (b *tokenBook) revoke(ctx context.Context, user, id string) (model.TokenInfo, error) {
	for _, info := range b.list(user) {
		if info.ID == id {
			_, err := b.store.Delete(ctx, tokensPrefix, id, 0)
			return info, err
		}
	}
	return model.TokenInfo{}, notFound(tokensPrefix, id)
}

// revokeAll voids the tokens of a user, but for one that is kept.
func (b *tokenBook) revokeAll(ctx context.Context, user, keep string) error {
	for _, info := range b.all() {
		if info.User != user || info.ID == keep {
			continue
		}
		if _, err := b.store.Delete(ctx, tokensPrefix, info.ID, 0); err != nil && model.KindOf(err) != model.NotFound {
			return err
		}
	}
	return nil
}

// sweep forgets the tokens that are past their time, or of users that are gone, now
// and then.
func (b *tokenBook) sweep(ctx context.Context) {
	now := b.now()
	b.mu.Lock()
	due := now.Sub(b.swept) > sweepEvery || now.Before(b.swept)
	if due {
		b.swept = now
	}
	b.mu.Unlock()
	if !due {
		return
	}
	for _, info := range b.all() {
		if _, err := b.store.Get(usersPrefix, info.User); err == nil && now.Before(info.Expires) {
			continue
		}
		if _, err := b.store.Delete(ctx, tokensPrefix, info.ID, 0); err != nil && model.KindOf(err) != model.NotFound {
			b.log.Warn("cannot forget an expired token", "id", info.ID, "error", err)
			return
		}
	}
}
