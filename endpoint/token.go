package endpoint

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"provision-plugins/shared/model"
)

// tokenFile is the admin's token, in the data directory.
const tokenFile = "admin.token"

// newToken makes 256 random bits as text.
func newToken() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: the runtime ends the program first
	return base64.RawURLEncoding.EncodeToString(raw)
}

// adminToken loads the admin's token from dir, or makes it.
func adminToken(dir string) (string, error) {
	path := filepath.Join(dir, tokenFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		token := newToken()
		if err := writePrivate(path, []byte(token+"\n")); err != nil {
			return "", model.Errorf(model.Internal, "cannot write %s: %w", path, cause(err))
		}
		return token, nil
	}
	if err != nil {
		return "", model.Errorf(model.Invalid, "cannot read %s: %w", path, cause(err))
	}
	token := string(bytes.TrimSpace(raw))
	if len(token) < 16 {
		return "", model.Errorf(model.Invalid, "cannot use %s: a token has 16 characters or more; remove the file to have one made", path)
	}
	if err := os.Chmod(path, privateFile); err != nil {
		return "", model.Errorf(model.Invalid, "cannot make %s private: %w", path, cause(err))
	}
	return token, nil
}

// Roles of a caller: what it may do.
type role int

const (
	roleNone  role = iota
	roleRead       // plugins: reads
	roleAdmin      // everything
)

// caller is who sent a request.
type caller struct {
	name string // the principal of records and events
	role role
}

// callerKey is where a request's context keeps its caller.
type callerKey struct{}

// withCaller notes who a request is from.
func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// principal names who a request is from; the endpoint itself is "system".
func principal(ctx context.Context) string {
	if c, ok := ctx.Value(callerKey{}).(caller); ok {
		return c.name
	}
	return "system"
}

// adminName is the reference's name of the first user.
const adminName = "user:rocketskates"

// tokens knows who a bearer token belongs to. Only digests are kept, so that
// comparing leaks nothing about the token by its time.
type tokens struct {
	admin [sha256.Size]byte

	mu      sync.Mutex // guards plugins
	plugins map[string][sha256.Size]byte
}

// newTokens makes a table with the admin's token.
func newTokens(admin string) *tokens {
	return &tokens{admin: sha256.Sum256([]byte(admin)), plugins: map[string][sha256.Size]byte{}}
}

// issue makes a token for a plugin; its earlier one is void.
func (t *tokens) issue(plugin string) string {
	token := newToken()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plugins[plugin] = sha256.Sum256([]byte(token))
	return token
}

// revoke voids a plugin's token.
func (t *tokens) revoke(plugin string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.plugins, plugin)
}

// who answers whose token it is.
func (t *tokens) who(token string) (caller, bool) {
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], t.admin[:]) == 1 {
		return caller{adminName, roleAdmin}, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, want := range t.plugins {
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 {
			return caller{"plugin:" + name, roleRead}, true
		}
	}
	return caller{}, false
}

// digester makes digests of requests that hold secrets. They are keyed, so
// that a stored digest cannot be used to guess a short password.
type digester struct{ key [sha256.Size]byte }

// newDigester derives the key from the admin's token: it is as secret, and
// stays the same over restarts.
func newDigester(admin string) digester {
	return digester{sha256.Sum256([]byte("digest of requests\x00" + admin))}
}

// sum is the digest of v's JSON, whose object keys are sorted.
func (d digester) sum(v any) (string, error) {
	raw, err := model.Marshal(v)
	if err != nil {
		return "", model.Errorf(model.Invalid, "cannot encode params: %w", err)
	}
	mac := hmac.New(sha256.New, d.key[:])
	mac.Write(raw)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}
