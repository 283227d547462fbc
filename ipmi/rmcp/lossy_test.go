package rmcp

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/model"
)

// A RAKP 3 that was not answered is sent again as it was, tag and all: the BMC may
// have the session open, and answers a copy only.
func TestRAKP3IsSentAgainAsItWas(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	var mu sync.Mutex // guards the rest
	var sent [][]byte
	lost := 0
	p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		switch kind := payloadType(d.Data[5] & typeMask); {
		case d.Direction == udptest.ToServer && kind == payloadRAKP3:
			sent = append(sent, bytes.Clone(d.Data))
		case d.Direction != udptest.ToServer && kind == payloadRAKP4 && lost == 0:
			lost++
			return nil
		}
		return udptest.Pass(d)
	})
	s, err := newTestTransport(t).Open(testContext(t), Target{Peer: p.Addr(), Login: login()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mu.Lock()
	defer mu.Unlock()
	if lost != 1 || len(sent) < 2 || !bytes.Equal(sent[0], sent[1]) {
		t.Errorf("%d answers lost, %d sent: %x", lost, len(sent), sent)
	}
}

// What was lost is told from what is slow: by the answer to a later transmission that
// came sooner than the first was waited for.
func TestLossIsToldFromSlowness(t *testing.T) {
	now := time.Now()
	out := []sent{{1, now}, {2, now.Add(350 * time.Millisecond)}, {3, now.Add(time.Second)}}
	for name, c := range map[string]struct {
		out  []sent
		tag  uint8
		took time.Duration
		want bool
	}{
		"the only one":                  {out[:1], 1, time.Millisecond, false},
		"the newest, soon":              {out, 3, 20 * time.Millisecond, true},
		"the newest, late":              {out, 3, 400 * time.Millisecond, false},
		"an earlier one":                {out, 2, 20 * time.Millisecond, false},
		"the second of two, soon":       {out[:2], 2, 20 * time.Millisecond, true},
		"the second of two, just later": {out[:2], 2, 350 * time.Millisecond, false},
	} {
		if got := lostBefore(c.out, c.tag, c.took); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// In a session that has lost something a read is sent more often, at one distance;
// what is sent once is sent once.
func TestPatienceWhereMessagesAreLost(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	p := udptest.New(t, b.addr, udptest.Pass)
	s := openTo(t, newTestTransport(t), p.Addr())
	defer s.Close()
	read := &Call{Request: &chassis.GetChassisStatusRequest{}, Class: model.Read}
	if tries, _, more := s.patience(read); tries != maxTries || more(time.Second) != 2*time.Second {
		t.Errorf("before: %d tries, then %s", tries, more(time.Second))
	}
	var mu sync.Mutex // guards n
	n := 0
	p.SetFilter(func(d udptest.Datagram) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == 1 {
			return nil
		}
		return udptest.Pass(d)
	})
	if err := s.Do(testContext(t), read); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.lossy = true // it is, unless this machine stalled: then the answer was no sooner than the first was waited for
	s.mu.Unlock()
	if tries, wait, more := s.patience(read); tries != lossyTries || more(wait) != wait {
		t.Errorf("after: %d tries, %s, then %s", tries, wait, more(wait))
	}
	if tries, _, _ := s.patience(&Call{Class: model.Once}); tries != 1 {
		t.Errorf("what is sent once: %d tries", tries)
	}
}

// Who proved to know the password in a handshake that was refused has no other one:
// a refusal after that is the network's doing, be it a bit the wrong way round. Only
// two refusals without such a proof are wrong credentials; a RAKP 2 cannot be
// believed before it is checked, and one that was altered looks like one of another
// password.
func TestARefusalAfterAProofIsTheNetworks(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	altered := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
		if d.Direction != udptest.ToServer && d.Data[5]&typeMask == byte(payloadRAKP2) {
			return [][]byte{with(d.Data, func(b []byte) { b[len(b)-1] ^= 1 })}
		}
		return udptest.Pass(d)
	})
	for _, c := range []struct {
		proved   bool
		refusals int
		want     Reason
	}{
		{true, 1, Crossed}, {false, 1, BadPassword}, {false, 0, BadPassword},
	} {
		_, err := newTestTransport(t).Open(testContext(t), Target{Peer: altered.Addr(), Login: login(), Refusals: c.refusals, Proved: c.proved})
		if got := reasonIn(err); got != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
