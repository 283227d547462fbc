package plugin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// Principal is on whose behalf a request to /plugin-apis/ is made.
type Principal struct {
	// Name is who it is, such as user:rocketskates. It is "token" for the holder
	// of a token of whom the endpoint tells no name.
	Name string
	// Claims are what the endpoint found that the principal may do. Without any,
	// nothing is known but that the endpoint knows the principal.
	Claims []string
}

// principalKey is the context key of a Principal.
type principalKey struct{}

// PrincipalOf returns on whose behalf a request to a plugin's Handler is made.
func PrincipalOf(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// The headers by which a host vouches for a principal.
const (
	headerPrefix    = "X-Oob-"
	headerPrincipal = headerPrefix + "Principal"
	headerClaims    = headerPrefix + "Claims"
	headerTime      = headerPrefix + "Time"
	headerNonce     = headerPrefix + "Nonce"
	headerSignature = headerPrefix + "Signature"
)

const (
	// keySize is the length of the key that a host and a plugin process share.
	keySize = 32
	// signedFor is how long a signature counts, and how far two clocks may be
	// apart.
	signedFor = 30 * time.Second
	// nonceSize is the length of a nonce before it is written in hex.
	nonceSize = 16
	// maxNonces bounds those that are remembered from the last minute or two.
	maxNonces = 1 << 16
)

// newKey makes a key.
func newKey() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // crypto/rand never fails
	return key
}

// sign vouches for a principal on a request as it is about to be sent. The
// signature covers method, Host, path and query, so that it is worth nothing on
// another request. It does not cover the body: the socket is private.
func sign(key []byte, r *http.Request, as Principal, now time.Time) {
	claims := make([]string, len(as.Claims))
	for i, c := range as.Claims {
		claims[i] = url.QueryEscape(c)
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // crypto/rand never fails
	r.Header.Set(headerPrincipal, url.PathEscape(as.Name))
	r.Header.Set(headerClaims, strings.Join(claims, ","))
	r.Header.Set(headerTime, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(headerNonce, hex.EncodeToString(nonce))
	r.Header.Set(headerSignature, signature(key, r, r.URL.RequestURI()))
}

// signature computes the signature of a request's method, Host, target and
// headers, none of which can hold a line's end.
func signature(key []byte, r *http.Request, target string) string {
	mac := hmac.New(sha256.New, key)
	h := r.Header
	for _, part := range []string{"oob-principal-1", r.Method, r.Host, target,
		h.Get(headerPrincipal), h.Get(headerClaims), h.Get(headerTime), h.Get(headerNonce)} {
		_, _ = mac.Write([]byte(part + "\n")) // a hash never fails
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// verifier tells what a host signed from what it did not.
type verifier struct {
	key []byte
	now func() time.Time

	mu      sync.Mutex          // guards the below
	nonces  map[string]struct{} // seen since rotated
	earlier map[string]struct{} // seen in the time before
	rotated time.Time
}

// newVerifier makes a verifier of what was signed by a key.
func newVerifier(key []byte, now func() time.Time) *verifier {
	return &verifier{key: key, now: now, nonces: map[string]struct{}{}, rotated: now()}
}

// verify returns whom the host vouches for. Each signature counts once.
func (v *verifier) verify(r *http.Request) (Principal, *model.Error) {
	for _, name := range []string{headerPrincipal, headerClaims, headerTime, headerNonce, headerSignature} {
		if len(r.Header.Values(name)) != 1 {
			return Principal{}, forbidden("it has not one header %s", name)
		}
	}
	want := signature(v.key, r, r.RequestURI)
	if !hmac.Equal([]byte(want), []byte(r.Header.Get(headerSignature))) {
		return Principal{}, forbidden("its signature is wrong")
	}
	seconds, err := strconv.ParseInt(r.Header.Get(headerTime), 10, 64)
	age := v.now().Sub(time.Unix(seconds, 0))
	if err != nil || age > signedFor || age < -signedFor {
		return Principal{}, forbidden("its signature has expired")
	}
	if e := v.once(r.Header.Get(headerNonce)); e != nil {
		return Principal{}, e
	}
	return readPrincipal(r.Header)
}

// once remembers a nonce, and refuses one that it remembers. Whatever was seen
// less than twice signedFor ago is remembered.
func (v *verifier) once(nonce string) *model.Error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); now.Sub(v.rotated) > 2*signedFor {
		v.earlier, v.nonces, v.rotated = v.nonces, map[string]struct{}{}, now
	}
	_, now := v.nonces[nonce]
	_, before := v.earlier[nonce]
	switch {
	case now || before:
		return forbidden("its signature was used before")
	case len(nonce) != 2*nonceSize:
		return forbidden("its nonce has not %d digits", 2*nonceSize)
	case len(v.nonces) >= maxNonces:
		return model.Errorf(model.Busy, "cannot serve the request: there were too many in the last minute").After(signedFor)
	}
	v.nonces[nonce] = struct{}{}
	return nil
}

// readPrincipal reads the principal of a request whose signature is right.
func readPrincipal(h http.Header) (Principal, *model.Error) {
	name, err := url.PathUnescape(h.Get(headerPrincipal))
	if err != nil || name == "" {
		return Principal{}, forbidden("it names nobody")
	}
	p := Principal{Name: name}
	for part := range strings.SplitSeq(h.Get(headerClaims), ",") {
		claim, err := url.QueryUnescape(part)
		if err != nil {
			return Principal{}, forbidden("its claims cannot be read")
		}
		if claim != "" {
			p.Claims = append(p.Claims, claim)
		}
	}
	return p, nil
}

// forbidden is the error of a request that is not served, whoever it is from.
func forbidden(format string, args ...any) *model.Error {
	return model.Errorf(model.Forbidden, "cannot serve the request: "+format, args...)
}

// dropSigned removes every header by which a host vouches.
func dropSigned(h http.Header) {
	for name := range h {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), headerPrefix) {
			delete(h, name)
		}
	}
}

// withoutToken removes the token from a query, and leaves the rest as it is.
func withoutToken(query string) string {
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(name); err == nil && plain == "token" {
			continue
		}
		kept = append(kept, part)
	}
	return strings.Join(kept, "&")
}
