package rmcp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"hash"
	"math/rand/v2"
	"testing"
)

// someBytes is n bytes that are the same in every run.
func someBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestAuthenticatorAgainstCrypto signs under keys of every length up to more than
// a block, all with one authenticator, as crypto/hmac does with new ones.
func TestAuthenticatorAgainstCrypto(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range suites {
		a := newAuthenticator(suites[i].hash)
		for n := range hashBlock + 9 {
			key, text := someBytes(r, n), someBytes(r, 3*n)
			want := hmac.New(suites[i].hash, key)
			want.Write(text)
			if got := a.sum(key, text[:n], nil, text[n:]); !bytes.Equal(got, want.Sum(nil)) {
				t.Errorf("suite %d, key of %d bytes: %x, want %x", suites[i].id, n, got, want.Sum(nil))
			}
			if got := a.sign(text); !bytes.Equal(got, want.Sum(nil)) {
				t.Errorf("suite %d, key of %d bytes: signed again as %x, want %x", suites[i].id, n, got, want.Sum(nil))
			}
		}
	}
}

// TestChainingAgainstCrypto encrypts and decrypts one to five blocks as
// crypto/cipher does.
func TestChainingAgainstCrypto(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	block, err := aes.NewCipher(someBytes(r, aes.BlockSize))
	if err != nil {
		t.Fatal(err)
	}
	k := &keys{block: block}
	for n := range 6 {
		iv, plain := someBytes(r, aes.BlockSize), someBytes(r, n*aes.BlockSize)
		want, got := bytes.Clone(plain), bytes.Clone(plain)
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(want, want)
		if k.encrypt(got, iv); !bytes.Equal(got, want) {
			t.Errorf("%d blocks: encrypted as %x, want %x", n, got, want)
		}
		if k.decrypt(got, iv); !bytes.Equal(got, plain) {
			t.Errorf("%d blocks: decrypted as %x, want %x", n, got, plain)
		}
	}
}

// TestKeysOutliveTheirSetup: the keys of a session take the authenticator over,
// and those of another session are others.
func TestKeysOutliveTheirSetup(t *testing.T) {
	for i := range suites {
		a, same := exampleKeys(t, &suites[i]), exampleKeys(t, &suites[i])
		later := exampleSetup(&suites[i])
		later.managedRnd[0]++
		other, err := later.deriveKeys(later.sessionKey())
		if err != nil {
			t.Fatal(err)
		}
		p, ok := parsePacket(a.seal(nil, 1, 1, []byte("message")))
		if !ok || !same.authentic(&p) {
			t.Errorf("suite %d: the same keys do not agree", suites[i].id)
		}
		if other.authentic(&p) {
			t.Errorf("suite %d: the keys of two sessions agree", suites[i].id)
		}
	}
}

// TestSealTakesNoMemory: what is signed and encrypted stays in the buffer given.
func TestSealTakesNoMemory(t *testing.T) {
	k := exampleKeys(t, &suites[0])
	buf, msg := make([]byte, 0, 128), []byte("message")
	if n := testing.AllocsPerRun(100, func() {
		p, ok := parsePacket(k.seal(buf, 1, 1, msg))
		if !ok || !k.authentic(&p) {
			t.Error("not authentic")
		}
		if _, ok := k.open(p.payload); !ok {
			t.Error("not opened")
		}
	}); n > 0 {
		t.Errorf("%v allocations for each message", n)
	}
}

// BenchmarkSign signs a command under one key: with the authenticator, and as
// crypto/hmac does.
func BenchmarkSign(b *testing.B) {
	key, text := make([]byte, 32), make([]byte, 52)
	for name, fresh := range map[string]func() hash.Hash{"sha256": suites[0].hash, "sha1": suites[1].hash} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			a := newAuthenticator(fresh)
			a.setKey(key)
			for b.Loop() {
				a.sign(text)
			}
		})
		b.Run(name+"/crypto", func(b *testing.B) {
			b.ReportAllocs()
			mac := hmac.New(fresh, key)
			var out []byte
			for b.Loop() {
				mac.Reset()
				mac.Write(text)
				out = mac.Sum(out[:0])
			}
		})
		b.Run(name+"/new-key", func(b *testing.B) {
			b.ReportAllocs()
			a := newAuthenticator(fresh)
			for b.Loop() {
				a.sum(key, text)
			}
		})
		b.Run(name+"/new-key/crypto", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mac := hmac.New(fresh, key)
				mac.Write(text)
				mac.Sum(nil)
			}
		})
	}
}

// BenchmarkSeal seals a command and opens it.
func BenchmarkSeal(b *testing.B) {
	k := exampleKeys(b, &suites[0])
	buf, msg := make([]byte, 0, 128), []byte("message")
	b.ReportAllocs()
	for b.Loop() {
		p, _ := parsePacket(k.seal(buf, 1, 1, msg))
		if !k.authentic(&p) {
			b.Fatal("not authentic")
		}
		if _, ok := k.open(p.payload); !ok {
			b.Fatal("not opened")
		}
	}
}
