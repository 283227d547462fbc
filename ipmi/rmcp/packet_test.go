package rmcp

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

func TestParsePacketShort(t *testing.T) {
	good := append(appendHeader(nil, uint8(payloadRAKP2), 1, 2, 3), 7, 8, 9)
	for n := range len(good) {
		if p, ok := parsePacket(good[:n]); ok {
			t.Errorf("%d of %d bytes parsed as %+v", n, len(good), p)
		}
	}
	p, ok := parsePacket(good)
	if !ok || p.kind != payloadRAKP2 || p.session != 1 || p.sequence != 2 || !bytes.Equal(p.payload, []byte{7, 8, 9}) {
		t.Errorf("parsed as %+v, %v", p, ok)
	}
}

func TestParseResponseShort(t *testing.T) {
	good := []byte{0x81, 0x07 << 2, 0, 0x20, 5 << 2, 0x3b, 0xd4, 1, 2, 0}
	for n := range 8 {
		if m, ok := parseResponse(good[:n]); ok {
			t.Errorf("%d bytes parsed as %+v", n, m)
		}
	}
	m, ok := parseResponse(good)
	if !ok || m.netFn != 7 || m.seq != 5 || m.cmd != 0x3b || m.code != 0xd4 || !bytes.Equal(m.data, []byte{1, 2}) {
		t.Errorf("parsed as %+v, %v", m, ok)
	}
}

// TestAppendRequest compares the message with go-ipmi's.
func TestAppendRequest(t *testing.T) {
	for n := range 12 {
		data := bytes.Repeat([]byte{0xc5}, n)
		req := types.IPMIRequest{
			ResponderAddr: addrBMC, NetFn: types.NetFnChassisRequest, RequesterAddr: addrConsole,
			RequesterSequence: 33, Command: 2, CommandData: data,
		}
		req.ComputeChecksum()
		if got := appendRequest(nil, uint8(req.NetFn), req.Command, 33, data); !bytes.Equal(got, req.Pack()) {
			t.Errorf("%d bytes: % x, go-ipmi has % x", n, got, req.Pack())
		}
	}
}

func TestWindow(t *testing.T) {
	type step struct {
		seq  uint32
		want bool
	}
	for name, steps := range map[string][]step{
		"in order":        {{1, true}, {2, true}, {3, true}},
		"zero":            {{0, false}},
		"again":           {{5, true}, {5, false}},
		"crossed":         {{5, true}, {4, true}, {4, false}, {6, true}, {5, false}},
		"too old":         {{100, true}, {83, false}, {84, true}, {84, false}},
		"many lost":       {{1, true}, {500, true}, {500, false}, {499, true}, {1, false}},
		"at the end":      {{0xffffffff, true}, {0xfffffff0, true}, {0xffffffff, false}, {1, false}},
		"31, 32 and 33":   {{1, true}, {32, true}, {64, true}, {97, true}, {96, true}, {64, false}},
		"old after jumps": {{40, true}, {56, true}, {40, false}, {41, true}, {39, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var w window
			for i, s := range steps {
				if got := w.accept(s.seq); got != s.want {
					t.Errorf("step %d: accept(%d) = %v", i, s.seq, got)
				}
			}
		})
	}
}

func TestTiming(t *testing.T) {
	for _, tc := range []struct{ least, rtt, try time.Duration }{
		{0, 0, firstTry}, {0, time.Millisecond, firstTry}, {0, 200 * time.Millisecond, 600 * time.Millisecond}, {0, 10 * time.Second, maxTry},
		{time.Second, 0, time.Second}, {time.Second, 600 * time.Millisecond, 1800 * time.Millisecond}, {time.Minute, 10 * time.Second, time.Minute},
	} {
		if got := tryFor(tc.least, tc.rtt); got != tc.try {
			t.Errorf("tryFor(%v, %v) = %v, want %v", tc.least, tc.rtt, got, tc.try)
		}
	}
	for wait, want := range map[time.Duration]time.Duration{
		firstTry: 2 * firstTry, 3 * time.Second: maxTry, maxTry: maxTry, time.Minute: time.Minute,
	} {
		if got := longer(wait); got != want {
			t.Errorf("after a try of %v one of %v, want %v", wait, got, want)
		}
	}
	for _, tc := range []struct{ least, rtt, wait time.Duration }{
		{0, 0, defaultOnce}, {time.Second, 0, time.Second}, {0, time.Second, 4 * time.Second}, {0, time.Minute, maxOnce},
	} {
		if got := onceFor(tc.least, tc.rtt); got != tc.wait {
			t.Errorf("onceFor(%v, %v) = %v, want %v", tc.least, tc.rtt, got, tc.wait)
		}
	}
	if got := smooth(0, time.Second); got != time.Second {
		t.Errorf("first sample: %v", got)
	}
	if got := smooth(time.Second, 2*time.Second); got != 1250*time.Millisecond {
		t.Errorf("second sample: %v", got)
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("detail")
	for want, err := range map[string]error{
		"connection timeout (Open Session)":                       &Error{Reason: Silent, Step: "Open Session"},
		"connection timeout (Open Session: detail)":               &Error{Reason: Silent, Step: "Open Session", Err: cause},
		"too long for IPMI 2.0: detail":                           &Error{Reason: TooLong, Err: cause},
		"status 0Dh, unauthorized name":                           status(0x0d),
		"status C0h":                                              status(0xc0),
		"Chassis Control refused with completion code D5h":        &Refusal{types.CommandChassisControl, 0xd5},
		"malformed unknown forged plain replayed unexpected fine": fmt.Errorf("%v %v %v %v %v %v fine", Drop(0), Drop(1), Drop(2), Drop(3), Drop(4), Drop(5)),
	} {
		if got := err.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if !errors.Is(&Error{Err: cause}, cause) {
		t.Error("the detail is lost")
	}
}

// TestStatusReasons holds what the status codes decide.
func TestStatusReasons(t *testing.T) {
	for code, want := range map[status]Reason{
		0x00: Protocol, 0x01: NoSlot, 0x04: NoSuite, 0x09: Privilege, 0x0a: Privilege, 0x0d: BadUsername,
		0x11: NoSuite, 0x02: LostSession, 0x13: Protocol, 0xff: Protocol,
	} {
		if got := code.reason(); got != want {
			t.Errorf("%v: %q, want %q", code, got, want)
		}
	}
}
