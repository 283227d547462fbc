package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// signer is the signer of the tests.
func signer() Signer { return Signer{Key: [32]byte{1, 2, 3}} }

// sign makes a token that must not be refused.
func sign(t testing.TB, s Signer, token Token) string {
	t.Helper()
	text, err := s.Sign(&token)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokenRoundTrip(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	want := Token{ID: "i", User: "üser", Secret: "s", Expires: 1_000_060, Renew: 2_000_000, Limits: []Claims{claim("machines", "get", "u1")}}
	got, err := signer().Open(sign(t, signer(), want), now)
	if err != nil || got.ID != want.ID || got.User != want.User || got.Secret != want.Secret || got.Expires != want.Expires || got.Renew != want.Renew ||
		len(got.Limits) != 1 || !got.Limits[0].Allow(Need{"machines", "get", "u1"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A token is good until its time and not a second longer, by the wall clock:
// one that goes back makes it good again, until then.
func TestTokenExpires(t *testing.T) {
	text := sign(t, signer(), Token{ID: "i", Expires: 1000})
	for at, want := range map[int64]error{0: nil, 999: nil, 1000: ErrExpired, 1001: ErrExpired, 1 << 40: ErrExpired} {
		if _, err := signer().Open(text, time.Unix(at, 0)); !errors.Is(err, want) {
			t.Errorf("at %d: %v, want %v", at, err, want)
		}
	}
}

func TestForgedTokens(t *testing.T) {
	now := time.Unix(0, 0)
	text := sign(t, signer(), Token{ID: "i", User: "viewer", Expires: 1000})
	body, mac, _ := strings.Cut(strings.TrimPrefix(text, tokenHead), ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	admin := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), "viewer", "admin!", 1)))
	other := Signer{Key: [32]byte{9}}
	for name, forged := range map[string]string{
		"empty":             "",
		"another key":       sign(t, other, Token{ID: "i", User: "viewer", Expires: 1000}),
		"another user":      tokenHead + admin + "." + mac,
		"no signature":      tokenHead + body + ".",
		"no dot":            tokenHead + body,
		"cut off":           text[:len(text)-1],
		"longer":            text + "A",
		"another head":      "oob2." + body + "." + mac,
		"no head":           body + "." + mac,
		"padded":            text + "=",
		"a line break":      text[:40] + "\n" + text[40:],
		"one in the end":    text[:len(text)-9] + "\r" + text[len(text)-9:],
		"signature of none": tokenHead + "." + mac,
		"huge":              tokenHead + strings.Repeat("A", MaxToken) + "." + mac,
		"only the head":     tokenHead,
	} {
		if got, err := signer().Open(forged, now); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Of one token there is one text: the unused bits of its last characters count.
func TestTokenHasOneText(t *testing.T) {
	text := sign(t, signer(), Token{ID: "i", Expires: 1000})
	for c := range strings.SplitSeq("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", "") {
		if other := text[:len(text)-1] + c; other != text {
			if _, err := signer().Open(other, time.Unix(0, 0)); !errors.Is(err, ErrForged) {
				t.Errorf("last character %s: %v", c, err)
			}
		}
	}
}

func TestTokenOfTooManyClaims(t *testing.T) {
	_, err := signer().Sign(&Token{Limits: []Claims{claim(strings.Repeat("x", MaxToken), "*", "*")}})
	wantKind(t, err, model.Invalid)
}

// What is signed but no token is forged all the same.
func TestSignedNonsense(t *testing.T) {
	for _, body := range []string{"[]", `"x"`, "", "{", `{"i":5}`, "\xff"} {
		text := tokenHead + base64.RawURLEncoding.EncodeToString([]byte(body))
		text += "." + base64.RawURLEncoding.EncodeToString(signer().mac(text))
		if got, err := signer().Open(text, time.Unix(0, 0)); !errors.Is(err, ErrForged) {
			t.Errorf("%q: %+v, %v", body, got, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	s := signer()
	f.Add(sign(f, s, Token{ID: "i", User: "u", Expires: 1 << 40}))
	f.Add(tokenHead + "e30.AAAA")
	f.Add(tokenHead + ".")
	f.Add("oob1..")
	good := sign(f, s, Token{ID: "good", Expires: 1 << 40})
	f.Add(good)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := s.Open(text, time.Unix(0, 0))
		if err == nil { // then it was signed: it is one of those above
			again, signErr := s.Sign(got)
			if signErr != nil || again != text {
				t.Errorf("believed %q, which is %q (%v)", text, again, signErr)
			}
			return
		}
		if !errors.Is(err, ErrForged) && !errors.Is(err, ErrExpired) {
			t.Errorf("%v", err)
		}
	})
}
