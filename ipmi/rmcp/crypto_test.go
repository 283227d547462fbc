package rmcp

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/types"
)

// exampleSetup has every field set, each byte by a count.
func exampleSetup(s *suite) *setup {
	k := &setup{suite: s, consoleID: 0x04030201, managedID: 0x14131211, role: 0x13, username: "operator", mac: newAuthenticator(s.hash)}
	for i := range 16 {
		k.consoleRnd[i] = byte(0x20 + i)
		k.managedRnd[i] = byte(0x40 + i)
		k.guid[i] = byte(0x60 + i)
	}
	copy(k.kuid[:], "a password")
	copy(k.kg[:], "a key of the BMC")
	return k
}

// TestKeysAgainstGoIPMI compares every derived value with go-ipmi's.
func TestKeysAgainstGoIPMI(t *testing.T) {
	for i := range suites {
		s := &suites[i]
		k := exampleSetup(s)
		alg := types.AuthAlg(s.auth)
		sik, k1, k2, err := crypto.DeriveSessionKeys(alg, k.consoleRnd[:], k.managedRnd[:], k.role, k.username, k.kg[:])
		if err != nil {
			t.Fatal(err)
		}
		rakp2, err := crypto.RAKP2AuthCode(alg, k.consoleID, k.managedID, k.consoleRnd[:], k.managedRnd[:], k.guid[:],
			k.role, k.username, k.kuid[:])
		if err != nil {
			t.Fatal(err)
		}
		rakp3, err := crypto.RAKP3AuthCode(alg, k.managedRnd[:], k.consoleID, k.role, k.username, k.kuid[:])
		if err != nil {
			t.Fatal(err)
		}
		rakp4, err := crypto.RAKP4ICV(alg, k.consoleRnd[:], k.managedID, k.guid[:], sik)
		if err != nil {
			t.Fatal(err)
		}
		for name, pair := range map[string][2][]byte{
			"SIK":    {k.sessionKey(), sik},
			"K1":     {bytes.Clone(k.additionalKey(sik, 1)), k1},
			"K2":     {bytes.Clone(k.additionalKey(sik, 2)), k2},
			"RAKP 2": {bytes.Clone(k.rakp2()), rakp2},
			"RAKP 3": {bytes.Clone(k.rakp3()), rakp3},
			"RAKP 4": {bytes.Clone(k.rakp4(sik)), rakp4},
		} {
			if !bytes.Equal(pair[0], pair[1]) {
				t.Errorf("suite %d: %s is %x, go-ipmi has %x", s.id, name, pair[0], pair[1])
			}
		}
	}
}

// TestHMACVectors holds the HMACs to the test vectors of RFC 2202 (SHA-1) and
// RFC 4231 (SHA-256), case 2.
func TestHMACVectors(t *testing.T) {
	for id, want := range map[uint8]string{
		3:  "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		17: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
	} {
		mac := newAuthenticator(suiteOrder(id, 0)[0].hash)
		if got := hex.EncodeToString(mac.sum([]byte("Jefe"), []byte("what do ya want "), []byte("for nothing?"))); got != want {
			t.Errorf("suite %d: %s, want %s", id, got, want)
		}
	}
}

// examplePair returns the keys of both ends of a session.
func exampleKeys(t testing.TB, s *suite) *keys {
	t.Helper()
	k := exampleSetup(s)
	out, err := k.deriveKeys(k.sessionKey())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSealAgainstGoIPMI lets go-ipmi check and decrypt what seal makes, for
// every length of a message up to a few blocks.
func TestSealAgainstGoIPMI(t *testing.T) {
	for i := range suites {
		s := &suites[i]
		k := exampleSetup(s)
		sik := k.sessionKey()
		packetKeys := exampleKeys(t, s)
		for n := range 70 {
			msg := bytes.Repeat([]byte{0xab}, n)
			b := packetKeys.seal(nil, k.managedID, 7, msg)
			p, ok := parsePacket(b)
			if !ok || !p.authenticated || !p.encrypted || p.session != k.managedID || p.sequence != 7 {
				t.Fatalf("suite %d, %d bytes: parsed as %+v, %v", s.id, n, p, ok)
			}
			plain, err := crypto.DecryptAESPayload(p.payload, k.additionalKey(sik, 2))
			if err != nil || !bytes.Equal(plain, msg) {
				t.Fatalf("suite %d, %d bytes: go-ipmi reads %x, %v", s.id, n, plain, err)
			}
			mac := len(b) - s.macLen
			want, err := crypto.SessionIntegrityAuthCode(types.IntegrityAlg(s.integrity), b[offAuthType:mac], k.additionalKey(sik, 1), "")
			if err != nil || !bytes.Equal(b[mac:], want) {
				t.Fatalf("suite %d, %d bytes: HMAC %x, go-ipmi has %x, %v", s.id, n, b[mac:], want, err)
			}
			if (mac-offAuthType)%4 != 0 {
				t.Fatalf("suite %d, %d bytes: %d authenticated bytes", s.id, n, mac-offAuthType)
			}
			if !packetKeys.authentic(&p) {
				t.Fatalf("suite %d, %d bytes: not authentic", s.id, n)
			}
			if back, ok := packetKeys.open(p.payload); !ok || !bytes.Equal(back, msg) {
				t.Fatalf("suite %d, %d bytes: opened as %x, %v", s.id, n, back, ok)
			}
		}
	}
}

// TestAnyChangeIsNoticed flips every bit of a sealed packet.
func TestAnyChangeIsNoticed(t *testing.T) {
	k := exampleKeys(t, &suites[0])
	sealed := k.seal(nil, 1, 1, []byte("message"))
	for i := range len(sealed) * 8 {
		b := with(sealed, func(b []byte) { b[i/8] ^= 1 << (i % 8) })
		p, ok := parsePacket(b)
		// The first four bytes and the authentication type are checked by
		// their values; two of them do not matter.
		if i/8 == 1 || i/8 == 2 {
			continue
		}
		if ok && k.authentic(&p) {
			t.Errorf("bit %d changed, and still authentic", i)
		}
	}
}

// TestVectorsDiffer: no initialization vector comes twice.
func TestVectorsDiffer(t *testing.T) {
	k := exampleKeys(t, &suites[0])
	seen := map[string]bool{}
	for range 1000 {
		b := k.seal(nil, 1, 1, []byte("message"))
		iv := string(b[headerLen : headerLen+16])
		if seen[iv] {
			t.Fatal("an initialization vector was used twice")
		}
		seen[iv] = true
	}
}

func TestOpenRefusesBadPayloads(t *testing.T) {
	k := exampleKeys(t, &suites[0])
	for _, n := range []int{0, 1, 15, 16, 17, 31, 33} {
		if _, ok := k.open(make([]byte, n)); ok {
			t.Errorf("%d bytes were opened", n)
		}
	}
	// A pad that is longer than a block.
	b := make([]byte, 32)
	b[31] = 16
	enc, err := crypto.EncryptAES(b[16:], exampleSetup(&suites[0]).additionalKey(exampleSetup(&suites[0]).sessionKey(), 2)[:16], b[:16])
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := k.open(append(make([]byte, 16), enc...)); ok {
		t.Error("a pad of 16 bytes was accepted")
	}
}

func TestSuiteOrder(t *testing.T) {
	for known, want := range map[uint8]string{0: "17 3", 17: "17 3", 3: "3 17", 8: "17 3"} {
		var ids []string
		for _, s := range suiteOrder(known, 0) {
			ids = append(ids, map[uint8]string{17: "17", 3: "3"}[s.id])
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("known %d: %s, want %s", known, got, want)
		}
	}
}
