package rmcp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
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

// TestKeysOutliveTheirSetup: a session's keys stay what they are, whatever their
// setup is used for afterwards, and those of another session are others.
func TestKeysOutliveTheirSetup(t *testing.T) {
	for i := range suites {
		k := exampleSetup(&suites[i])
		sealing, err := k.deriveKeys(k.sessionKey())
		if err != nil {
			t.Fatal(err)
		}
		k.managedRnd[0]++
		k.rakp2()
		other, err := k.deriveKeys(k.sessionKey())
		if err != nil {
			t.Fatal(err)
		}
		p, ok := parsePacket(sealing.seal(nil, 1, 1, []byte("message")))
		if !ok || !exampleKeys(t, &suites[i]).authentic(&p) {
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

// BenchmarkKeyExchange makes all codes and keys of a login.
func BenchmarkKeyExchange(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		k := exampleSetup(&suites[0])
		sik := k.sessionKey()
		k.rakp2()
		k.rakp3()
		k.rakp4(sik)
		if _, err := k.deriveKeys(sik); err != nil {
			b.Fatal(err)
		}
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
