package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

const (
	// tokenHead begins every token, and tells its format.
	tokenHead = "oob1."
	// MaxToken bounds a token in bytes.
	MaxToken = 8 << 10
)

// The refusals of a token.
var (
	// ErrForged is that of a token that was not signed here.
	ErrForged = errors.New("the token is not one of this endpoint's")
	// ErrExpired is that of a token past its time.
	ErrExpired = errors.New("the token has expired")
)

// Token is what a signed token says.
type Token struct {
	ID      string `json:"i"`
	User    string `json:"u"`
	Secret  string `json:"s"` // digest of the user's Secret: a new one voids the token
	Expires int64  `json:"e"` // Unix time
	// Renew is until when tokens may be had for this one.
	Renew  int64    `json:"r"`
	Limits []Claims `json:"l,omitempty"` // each must allow what the token is used for
}

// Signer signs tokens.
type Signer struct{ Key [sha256.Size]byte }

// Sign makes the text of a token.
func (s Signer) Sign(t *Token) (string, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return "", model.Errorf(model.Internal, "cannot encode a token: %w", err)
	}
	text := tokenHead + base64.RawURLEncoding.EncodeToString(raw)
	text += "." + base64.RawURLEncoding.EncodeToString(s.mac(text))
	if len(text) > MaxToken {
		return "", model.Errorf(model.Invalid, "cannot make a token: its claims are too long")
	}
	return text, nil
}

// mac is the signature of a token's text.
func (s Signer) mac(text string) []byte {
	mac := hmac.New(sha256.New, s.Key[:])
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// Open verifies the text of a token and reads it. The error is ErrForged or
// ErrExpired.
func (s Signer) Open(text string, now time.Time) (*Token, error) {
	cut := strings.LastIndexByte(text, '.')
	if len(text) > MaxToken || cut < len(tokenHead) || !strings.HasPrefix(text, tokenHead) {
		return nil, ErrForged
	}
	// Of one token there is one text: no spare bits, and no line breaks, which
	// base64 would pass over.
	if strings.ContainsAny(text, "\r\n") {
		return nil, ErrForged
	}
	encoding := base64.RawURLEncoding.Strict()
	sum, err := encoding.DecodeString(text[cut+1:])
	if err != nil || !hmac.Equal(sum, s.mac(text[:cut])) {
		return nil, ErrForged
	}
	raw, err := encoding.DecodeString(text[len(tokenHead):cut])
	if err != nil {
		return nil, ErrForged
	}
	t := &Token{}
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, ErrForged
	}
	if now.Unix() >= t.Expires {
		return nil, ErrExpired
	}
	return t, nil
}
