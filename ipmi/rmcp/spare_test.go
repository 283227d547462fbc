package rmcp

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/udptest"
	sim "provision-plugins/sim/bmc"
)

// A doubled Open Session opens two sessions: the one that is not taken is given back,
// and no login is counted for that.
func TestASpareSessionIsGivenBack(t *testing.T) {
	b := startOrderly(t)
	var mu sync.Mutex // guards both
	opened, given := map[uint32]bool{}, map[uint32]bool{}
	p := udptest.New(t, b.Addr(), func(d udptest.Datagram) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		switch kind := payloadType(d.Data[offPayload] & typeMask); {
		case kind == payloadOpenRequest:
			return [][]byte{d.Data, d.Data}
		case kind == payloadOpenResponse:
			opened[binary.LittleEndian.Uint32(d.Data[headerLen+8:])] = true
		case kind == payloadRAKP3 && d.Data[headerLen+1] == byte(statusIllegal):
			given[binary.LittleEndian.Uint32(d.Data[headerLen+4:])] = true
		}
		return udptest.Pass(d)
	})
	s, err := newTestTransport(t).Open(testContext(t), Target{Peer: p.Addr(), Login: login(), Known: unhurried()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mu.Lock()
	defer mu.Unlock()
	if len(opened) != 2 || len(given) != 1 || given[s.managedID] {
		t.Errorf("%d sessions were opened, given back were %v, taken was %d", len(opened), given, s.managedID)
	}
	for id := range given {
		if !opened[id] {
			t.Errorf("%d was given back, and is none of %v", id, opened)
		}
	}
	if n := b.Executed(sim.LoginRefused); n != 0 {
		t.Errorf("the BMC counts %d failed logins", n)
	}
}

// Where datagrams are lost the end of a session is told more than once.
func TestTheEndIsToldOftenWhereMuchIsLost(t *testing.T) {
	for _, lossy := range []bool{false, true} {
		b := startOrderly(t)
		var mu sync.Mutex // guards ends
		ends := 0
		ended := make(chan struct{}, 8)
		p := udptest.New(t, b.Addr(), udptest.Pass)
		s := openTo(t, newTestTransport(t), p.Addr())
		p.SetFilter(func(d udptest.Datagram) [][]byte {
			if d.Direction == udptest.ToServer {
				mu.Lock()
				ends++
				mu.Unlock()
				ended <- struct{}{}
			}
			return udptest.Pass(d)
		})
		s.mu.Lock()
		s.lossy = lossy
		s.mu.Unlock()
		s.Close()
		for range courtesies(lossy) {
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Fatalf("lossy %t: no end was told", lossy)
			}
		}
		mu.Lock()
		if want := map[bool]int{false: 1, true: 3}[lossy]; ends != want {
			t.Errorf("lossy %t: told %d times, want %d", lossy, ends, want)
		}
		mu.Unlock()
	}
}

// How long a second RAKP 2 is looked out for: one round trip at first, longer where
// something came twice, and not at all by a probe, which cannot begin anew.
func TestLookout(t *testing.T) {
	const rtt = 20 * time.Millisecond
	for name, c := range map[string]struct {
		h    handshake
		want time.Duration
	}{
		"first":                 {handshake{wary: true, rtt: rtt}, rtt},
		"first, far away":       {handshake{wary: true, rtt: 2 * time.Second}, firstLinger},
		"something came twice":  {handshake{wary: true, rtt: rtt, crossed: true}, 2 * rtt},
		"twice, and near":       {handshake{wary: true, crossed: true}, minLinger},
		"after a refusal":       {handshake{wary: true, rtt: rtt, linger: lastLinger}, lastLinger},
		"a probe":               {handshake{rtt: rtt}, 0},
		"a probe, once refused": {handshake{rtt: rtt, linger: lastLinger}, lastLinger},
	} {
		if got := c.h.lookout(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// What an Open that failed has seen of the way is told, and the next one begins with
// it: a message is sent again as soon, and more often.
func TestWhatAFailureTeaches(t *testing.T) {
	var mu sync.Mutex // guards n
	n := 0
	p := udptest.New(t, startOrderly(t).Addr(), func(d udptest.Datagram) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		switch payloadType(d.Data[offPayload] & typeMask) {
		case payloadOpenRequest:
			if n++; n == 1 {
				return nil
			}
		case payloadRAKP2:
			return [][]byte{with(d.Data, func(b []byte) { b[len(b)-1] ^= 1 })}
		}
		return udptest.Pass(d)
	})
	told := 0
	_, err := newTestTransport(t).Open(testContext(t), Target{
		Peer: p.Addr(), Login: login(), OnFailure: func(rtt time.Duration, _ bool) {
			if told++; rtt <= 0 {
				t.Errorf("told a round trip of %s", rtt)
			}
		},
	})
	if err == nil || told != 1 {
		t.Errorf("told %d times of %v", told, err)
	}
	h := newTestTransport(t).newHandshake(newPlan(&Target{Login: login(), Known: Known{RTT: time.Second, Lossy: true}}, 0))
	for _, st := range []*step{stepRAKP1, stepRAKP3} {
		if tries, wait := h.patience(st); tries != lossyTries || wait != 2*time.Second {
			t.Errorf("%s: %d tries, the first of %s", st.name, tries, wait)
		}
	}
	if h.lost {
		t.Error("what is known of before is taken for seen")
	}
}

// An answer to an earlier RAKP 1 that comes after that to the newest may be of one
// that came to the BMC after it: the handshake begins anew rather than have a login
// refused.
func TestAnOvertakenRAKP1BeginsAnew(t *testing.T) {
	b := startOrderly(t)
	var mu sync.Mutex // guards the rest
	var first []byte
	asked := 0
	p := udptest.New(t, b.Addr(), func(d udptest.Datagram) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		if payloadType(d.Data[offPayload]&typeMask) != payloadRAKP1 {
			return udptest.Pass(d)
		}
		switch asked++; asked {
		case 1:
			first = append(first, d.Data...)
			return nil
		case 2: // the first comes after it
			return [][]byte{d.Data, first}
		}
		return udptest.Pass(d)
	})
	s, err := newTestTransport(t).Open(testContext(t), Target{Peer: p.Addr(), Login: login(), Known: unhurried()})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	mu.Lock()
	defer mu.Unlock()
	if n := b.Executed(sim.LoginRefused); n != 0 || asked < 3 {
		t.Errorf("%d RAKP 1 were sent, %d logins refused", asked, n)
	}
}
