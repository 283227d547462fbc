package endpoint

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"provision-plugins/endpoint/auth"
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

// adminName is the reference's name of the first user.
const adminName = "rocketskates"

// tokens knows whose the bearer tokens are that end with the process, and the
// admin's. Only digests are kept, so that comparing leaks nothing about the
// token by its time.
type tokens struct {
	admin [sha256.Size]byte

	mu      sync.Mutex // guards plugins
	plugins map[string]pluginToken
}

// pluginToken is the token of one plugin's process.
type pluginToken struct {
	sum   [sha256.Size]byte
	grant auth.Grant
}

// newTokens makes a table with the admin's token.
func newTokens(admin string) *tokens {
	return &tokens{admin: sha256.Sum256([]byte(admin)), plugins: map[string]pluginToken{}}
}

// issue makes a token for a plugin, with what it may do; its earlier one is
// void.
func (t *tokens) issue(plugin string, grant auth.Grant) string {
	token := newToken()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.plugins[plugin] = pluginToken{sha256.Sum256([]byte(token)), grant}
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
		return caller{name: "user:" + adminName, user: adminName, grant: auth.AllGrant()}, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, want := range t.plugins {
		if subtle.ConstantTimeCompare(sum[:], want.sum[:]) == 1 {
			return caller{name: "plugin:" + name, plugin: name, grant: want.grant}, true
		}
	}
	return caller{}, false
}

// readerGrant is what a plugin has that declares nothing.
func readerGrant() auth.Grant { return auth.Grant{auth.Viewer()} }

// trustedScopes are where a provider's declaration alone gives nothing: who may
// change these may give itself the rest.
var trustedScopes = []string{"users", "roles", "plugin_providers", "contents"}

// pluginGrant is what the token of a provider's plugins allows: everything if
// an admin said that it is trusted, else what it declares it needs, else reads.
func pluginGrant(p *model.PluginProvider, trusted bool) (auth.Grant, error) {
	text := p.Meta[model.MetaClaims]
	if trusted {
		return auth.AllGrant(), nil
	}
	if text == "" {
		return readerGrant(), nil
	}
	var declared auth.Claims
	if err := json.Unmarshal([]byte(text), &declared); err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read %s of plugin provider %s: %w", model.MetaClaims, p.Name, err)
	}
	declared = slices.DeleteFunc(declared, func(c model.Claim) bool {
		return slices.ContainsFunc(trustedScopes, func(scope string) bool {
			return auth.Claims{{Scope: c.Scope, Action: "*", Specific: "*"}}.Allow(auth.Need{Scope: scope, Action: "create"})
		})
	})
	return auth.Grant{append(declared, auth.Viewer()...)}, nil
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
