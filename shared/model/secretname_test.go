package model

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// byPattern is SecretName by a pattern: a word that names a secret, between what
// is no letter.
var byPattern = regexp.MustCompile(`(^|[^a-z])(pass|passwd|pwd|passwords?|passphrase|secrets?|tokens?|[a-z0-9]*key|kg|credentials?)([^a-z]|$)`)

// wantsSecret reports whether the pattern finds a secret in a name.
func wantsSecret(name string) bool {
	parts := strings.ToLower(hump.ReplaceAllString(name, "$1-$2"))
	return !slices.Contains(plainNames, parts[strings.LastIndex(parts, "/")+1:]) && byPattern.MatchString(parts)
}

func TestSecretNameIsItsPattern(t *testing.T) {
	for _, name := range []string{
		"ipmi/password", "ipmi/Password", "sshKey", "ssh2key", "2key", "key2", "akey", "keyed", "monkey/x", "keys", "kg", "ipmi/kg", "kgb", "bmcKG",
		"passwords", "passwordsx", "pass", "passing", "xpass", "x-pass", "passPhrase", "passphrase", "tokenBucket", "tokens", "a/b_secret.c", "secretary",
		"credential", "credentials", "pubkey", "site/public-key", "publicKey", "PublicKey", "password-file", "generate-random-password", "", "/", "é-key", "keyé", "ékey", "KEY", "K\u212aEY",
	} {
		if got := SecretName(name); got != wantsSecret(name) {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func FuzzSecretName(f *testing.F) {
	for _, name := range []string{"ipmi/password", "sshKey", "x/2key-y", "tokenſ", "aPWDb"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got := SecretName(name); got != wantsSecret(name) {
			t.Errorf("%q: %v", name, got)
		}
	})
}

func BenchmarkSecretName(b *testing.B) {
	for b.Loop() {
		if !SecretName("ipmi/password") {
			b.Fatal("a password is no secret")
		}
	}
}
