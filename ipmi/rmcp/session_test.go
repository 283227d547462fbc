package rmcp

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/model"
)

func TestDoOnceSendsOneDatagram(t *testing.T) {
	for name, lost := range map[string]int{"request lost": 1, "reply lost": 2} {
		t.Run(name, func(t *testing.T) {
			b := startBMC(t, bmcOptions{})
			p := udptest.New(t, b.addr, udptest.Pass)
			s := openTo(t, newTestTransport(t), p.Addr())
			raise(t, s)
			p.SetFilter(udptest.LoseNth(lost))
			err := s.Do(testContext(t), control(chassis.ChassisControlHardReset, model.Once))
			if reasonIn(err) != Silent {
				t.Fatalf("error %v, want %q", err, Silent)
			}
			if p.Count() != lost {
				t.Errorf("%d datagrams, want %d", p.Count(), lost)
			}
			if int(b.chassis.resets.Load()) != lost-1 {
				t.Errorf("%d resets, want %d", b.chassis.resets.Load(), lost-1)
			}
			if !s.Stale() {
				t.Error("the session is not stale")
			}
		})
	}
}

// TestDoOnceIsPatient: what cannot be sent again is waited for longer than one
// try of what can.
func TestDoOnceIsPatient(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	p := udptest.New(t, b.addr, udptest.Pass)
	s := openTo(t, newTestTransport(t), p.Addr())
	raise(t, s)
	p.SetFilter(func(d udptest.Datagram) [][]byte {
		if d.Direction == udptest.ToClient {
			<-time.After(firstTry + firstTry/2)
		}
		return udptest.Pass(d)
	})
	call := control(chassis.ChassisControlHardReset, model.Once)
	call.Wait = 0
	if err := s.Do(testContext(t), call); err != nil || b.chassis.resets.Load() != 1 {
		t.Errorf("%v after %d resets, want an answer to one", err, b.chassis.resets.Load())
	}
}

// TestDoRetransmits sends a lost request again under a fresh sequence number,
// as a BMC that drops replays needs, and tells when that makes a session stale.
func TestDoRetransmits(t *testing.T) {
	for name, tc := range map[string]struct {
		class model.Class
		stale bool
	}{"read": {model.Read, false}, "idempotent": {model.Idempotent, true}} {
		t.Run(name, func(t *testing.T) {
			b := startBMC(t, bmcOptions{})
			var seqs []uint32
			p := udptest.New(t, b.addr, udptest.Pass)
			s := openTo(t, newTestTransport(t), p.Addr())
			raise(t, s)
			p.SetFilter(func(d udptest.Datagram) [][]byte {
				if d.Direction == udptest.ToServer {
					seqs = append(seqs, binary.LittleEndian.Uint32(d.Data[offSequence:]))
				}
				if d.N <= 2 { // the first reply is lost, too
					return udptest.LoseNth(2)(d)
				}
				return udptest.Pass(d)
			})
			silences := 0
			call := control(chassis.ChassisControlPowerUp, tc.class)
			call.OnSilence = func() { silences++ }
			if err := s.Do(testContext(t), call); err != nil {
				t.Fatal(err)
			}
			p.SetFilter(udptest.Pass) // the filter is done with seqs
			if len(seqs) != 2 || seqs[0] == seqs[1] {
				t.Errorf("session sequence numbers %v, want two that differ", seqs)
			}
			if s.Stale() != tc.stale {
				t.Errorf("Stale = %v, want %v", s.Stale(), tc.stale)
			}
			if silences != 1 {
				t.Errorf("OnSilence called %d times, want once", silences)
			}
		})
	}
}

func TestDoRefusal(t *testing.T) {
	b := startBMC(t, bmcOptions{privilege: 2})
	s := openTo(t, newTestTransport(t), b.addr)
	opened := s.Heard()
	err := s.Do(testContext(t), control(chassis.ChassisControlHardReset, model.Once))
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Code != types.CodeInsufficientPrivilege {
		t.Fatalf("error %v, want a refusal with D4h", err)
	}
	if want := "Chassis Control refused with completion code D4h"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if s.Stale() {
		t.Error("a refused command makes the session stale")
	}
	if !s.Heard().After(opened) {
		t.Error("a refusal does not count as an answer")
	}
}

// TestDoCancelled leaves at once, and a change then counts as on its way.
func TestDoCancelled(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	p := udptest.New(t, b.addr, udptest.Pass)
	s := openTo(t, newTestTransport(t), p.Addr())
	raise(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	p.SetFilter(func(udptest.Datagram) [][]byte { cancel(); return nil })
	if err := s.Do(ctx, control(chassis.ChassisControlPowerCycle, model.Once)); reasonIn(err) != Cancelled {
		t.Fatalf("error %v, want %q", err, Cancelled)
	}
	if !s.Stale() {
		t.Error("the session is not stale")
	}
	p.SetFilter(udptest.Pass)
	powerIsOn(t, s) // the next command is not held up
}

// TestDoAfterTheCallerLeft sends nothing for somebody who is not there any more.
func TestDoAfterTheCallerLeft(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	p := udptest.New(t, b.addr, udptest.Pass)
	s := openSlow(t, newTestTransport(t), p.Addr())
	raise(t, s)
	p.SetFilter(udptest.Pass) // counts from here
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.Do(gone, control(chassis.ChassisControlPowerCycle, model.Once))
	var e *Error
	if !errors.As(err, &e) || e.Reason != Cancelled || e.Sent {
		t.Errorf("error %v, want %q and nothing sent", err, Cancelled)
	}
	raise(t, s) // what was sent before it has arrived by now
	if p.Count() != 2 || s.Stale() {
		t.Errorf("%d datagrams, want 2 of the command after it; stale is %v", p.Count(), s.Stale())
	}
}

// TestDoClosedMeanwhile: what left before the session was closed counts as sent.
func TestDoClosedMeanwhile(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	p := udptest.New(t, b.addr, udptest.Pass)
	s := openTo(t, newTestTransport(t), p.Addr())
	raise(t, s)
	p.SetFilter(func(udptest.Datagram) [][]byte { return nil })
	call := control(chassis.ChassisControlPowerUp, model.Idempotent)
	call.OnSilence = s.Close
	err := s.Do(testContext(t), call)
	var e *Error
	if !errors.As(err, &e) || e.Reason != Closed || !e.Sent {
		t.Errorf("error %v, want %q of something sent", err, Closed)
	}
}

// TestDoRefusedPort is a BMC that goes away under an open session.
func TestDoRefusedPort(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	tr := newTestTransport(t)
	s := openTo(t, tr, b.addr)
	s.peer = closedPort(t, b.addr.Addr().AsSlice())
	tr.register(s.peer, s.consoleID, s)
	start := time.Now()
	err := s.Do(testContext(t), &Call{Request: &chassis.GetChassisStatusRequest{}, Class: model.Read})
	if reasonIn(err) != Refused {
		t.Fatalf("error %v after %v, want %q", err, time.Since(start), Refused)
	}
}

// TestManySessions shares one socket among many sessions to one BMC and others.
func TestManySessions(t *testing.T) {
	tr := newTestTransport(t)
	on, off := startBMC(t, bmcOptions{}), startBMC(t, bmcOptions{})
	on.chassis.set(t, true)
	var wg sync.WaitGroup
	for i := range 40 {
		b := on
		if i%2 == 0 {
			b = off
		}
		wg.Go(func() {
			s, err := tr.Open(testContext(t), Target{Peer: b.addr, Login: login()})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for range 20 {
				var res chassis.GetChassisStatusResponse
				call := &Call{Request: &chassis.GetChassisStatusRequest{}, Response: &res, Class: model.Read}
				if err := s.Do(testContext(t), call); err != nil {
					t.Error(err)
				} else if res.PowerIsOn != (b == on) {
					t.Errorf("BMC %v reads on = %v", b.addr, res.PowerIsOn)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "all sessions closed", func() bool { return on.Sessions.Count()+off.Sessions.Count() == 0 })
	if len(tr.peers) != 0 {
		t.Errorf("%d peers still registered", len(tr.peers))
	}
}

func BenchmarkWarmStatus(b *testing.B) {
	rig := startBMC(b, bmcOptions{})
	s := openTo(b, newTestTransport(b), rig.addr)
	b.ReportAllocs()
	for b.Loop() {
		powerIsOn(b, s)
	}
}

func BenchmarkColdStatus(b *testing.B) {
	rig := startBMC(b, bmcOptions{})
	tr := newTestTransport(b)
	b.ReportAllocs()
	for b.Loop() {
		s, err := tr.Open(context.Background(), Target{Peer: rig.addr, Login: login()})
		if err != nil {
			b.Fatal(err)
		}
		powerIsOn(b, s)
		s.Close()
	}
}
