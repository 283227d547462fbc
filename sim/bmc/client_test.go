package bmc

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/protocol"
	"github.com/bougou/go-ipmi/pkg/types"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Commands as the tests send them: NetFn, command and data.
type call []byte

var (
	callStatus   = call{0, 0x01}
	callOff      = call{0, 0x02, 0}
	callOn       = call{0, 0x02, 1}
	callCycle    = call{0, 0x02, 2}
	callReset    = call{0, 0x02, 3}
	callDiag     = call{0, 0x02, 4}
	callSoft     = call{0, 0x02, 5}
	callCause    = call{0, 0x07}
	callGetFlags = call{0, 0x09, 5, 0, 0}
	callDeviceID = call{6, 0x01}
)

// setFlags sets boot option parameter 5.
func setFlags(b ...byte) call { return append(call{0, 0x08, 5}, b...) }

// Completion codes the tests look for.
const (
	ccOK        = 0x00
	ccBusy      = 0xc0
	ccInvalid   = 0xc1
	ccPrivilege = 0xd4
	ccNotNow    = 0xd5
)

// fakeClock is a clock that stands still until it is advanced.
type fakeClock struct {
	mu     sync.Mutex // guards the rest
	now    time.Time
	timers map[*fakeTimer]struct{}
}

type fakeTimer struct {
	at time.Time
	f  func()
}

func newFakeClock() *fakeClock {
	return &fakeClock{now: time.Unix(1_000_000, 0), timers: map[*fakeTimer]struct{}{}}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &fakeTimer{c.now.Add(d), f}
	c.timers[t] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.timers[t]
		delete(c.timers, t)
		return waiting
	}
}

// advance moves the time on and calls what is due.
func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	for t := range c.timers {
		if !t.at.After(c.now) {
			due = append(due, t.f)
			delete(c.timers, t)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

// console is a minimal RMCP+ client. It never sends anything by itself, so that a
// test decides about every single datagram.
type console struct {
	t    testing.TB
	conn net.Conn

	user, password string
	kg             []byte
	suite          types.CipherSuiteID
	privilege      byte // asked for in the handshake

	id, bmcID         uint32
	consoleRand       [16]byte
	bmcRand, bmcGUID  [16]byte
	auth              types.AuthAlg
	integrity         types.IntegrityAlg
	crypt             types.CryptAlg
	sik, k1, k2       []byte
	seq               uint32
	rqSeq, pingTag    byte
	plain             bool // send unencrypted
	lastOutboundOfBMC uint32
}

// newFleet returns a fleet that ends with the test.
func newFleet(t testing.TB, o Options) *Fleet {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// newBMCs is a fleet of one on a fake clock.
func newOne(t testing.TB, o Options) (*BMC, *fakeClock) {
	t.Helper()
	clock := newFakeClock()
	o.Clock = clock
	return newFleet(t, o).BMC(0), clock
}

// dial returns a console for b with the default account.
func dial(t testing.TB, b *BMC) *console {
	t.Helper()
	conn, err := net.Dial("udp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	// Only a broken test ever waits that long.
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return &console{
		t: t, conn: conn, user: "admin", password: "password", suite: 17,
		privilege: byte(Administrator), id: 0x01020304,
	}
}

// operator returns a console with a session raised to OPERATOR.
func operator(t testing.TB, b *BMC) *console {
	t.Helper()
	c := dial(t, b)
	c.login()
	c.raise(Operator)
	return c
}

func (c *console) write(pkt []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(pkt); err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) read() []byte {
	c.t.Helper()
	buf := make([]byte, 2048)
	n, err := c.conn.Read(buf)
	if err != nil {
		c.t.Fatal(err)
	}
	return buf[:n]
}

// payload returns the payload of an RMCP+ datagram outside a session.
func (c *console) payload(pkt []byte, kind types.PayloadType) []byte {
	c.t.Helper()
	id, _, got, _, payload, ok := protocol.ParseRMCPPlusHeader(pkt)
	if !ok || id != 0 || types.PayloadType(got) != kind {
		c.t.Fatalf("payload type %#x of session %#x, want %#x of none: %x", got, id, kind, pkt)
	}
	return payload
}

func frame(kind types.PayloadType, payload []byte) []byte {
	return protocol.BuildRMCPPlusPacket(uint8(kind), 0, 0, 0, payload)
}

// openRequest is the datagram that asks for a session.
func (c *console) openRequest() []byte {
	c.auth, c.integrity, c.crypt, _ = types.GetCipherSuiteAlgorithms(c.suite)
	req := make([]byte, 32)
	req[1] = c.privilege
	binary.LittleEndian.PutUint32(req[4:], c.id)
	copy(req[8:], []byte{0, 0, 0, 8, byte(c.auth), 0, 0, 0})
	copy(req[16:], []byte{1, 0, 0, 8, byte(c.integrity), 0, 0, 0})
	copy(req[24:], []byte{2, 0, 0, 8, byte(c.crypt), 0, 0, 0})
	return frame(types.PayloadTypeRmcpOpenSessionRequest, req)
}

// open asks for a session and returns the status code.
func (c *console) open() byte {
	c.t.Helper()
	c.write(c.openRequest())
	resp := c.payload(c.read(), types.PayloadTypeRmcpOpenSessionResponse)
	if resp[1] == 0 {
		c.bmcID = binary.LittleEndian.Uint32(resp[8:])
	}
	return resp[1]
}

func (c *console) rakp1Request() []byte {
	_, _ = rand.Read(c.consoleRand[:])
	req := make([]byte, 28, 44)
	binary.LittleEndian.PutUint32(req[4:], c.bmcID)
	copy(req[8:], c.consoleRand[:])
	req[24] = c.privilege | 0x10
	req[27] = byte(len(c.user))
	return frame(types.PayloadTypeRAKPMessage1, append(req, c.user...))
}

// rakp1 sends RAKP message 1 and returns the status code of message 2 and
// whether it proves that the BMC knows the password.
func (c *console) rakp1() (status byte, proven bool) {
	c.t.Helper()
	c.write(c.rakp1Request())
	resp := c.payload(c.read(), types.PayloadTypeRAKPMessage2)
	if resp[1] != 0 {
		return resp[1], false
	}
	copy(c.bmcRand[:], resp[8:])
	copy(c.bmcGUID[:], resp[24:])
	want, err := crypto.RAKP2AuthCode(c.auth, c.id, c.bmcID, c.consoleRand[:], c.bmcRand[:], c.bmcGUID[:],
		c.privilege|0x10, c.user, crypto.PadPassword20([]byte(c.password)))
	if err != nil {
		c.t.Fatal(err)
	}
	return 0, bytes.Equal(want, resp[40:])
}

func (c *console) rakp3Request() []byte {
	code, err := crypto.RAKP3AuthCode(c.auth, c.bmcRand[:], c.id, c.privilege|0x10, c.user,
		crypto.PadPassword20([]byte(c.password)))
	if err != nil {
		c.t.Fatal(err)
	}
	req := make([]byte, 8, 40)
	binary.LittleEndian.PutUint32(req[4:], c.bmcID)
	return frame(types.PayloadTypeRAKPMessage3, append(req, code...))
}

// rakp3 sends RAKP message 3, returns the status code of message 4 and takes
// the keys.
func (c *console) rakp3() byte {
	c.t.Helper()
	c.write(c.rakp3Request())
	return c.rakp4(c.read())
}

// rakp4 reads RAKP message 4.
func (c *console) rakp4(pkt []byte) byte {
	c.t.Helper()
	resp := c.payload(pkt, types.PayloadTypeRAKPMessage4)
	if resp[1] != 0 {
		return resp[1]
	}
	key := crypto.PadPassword20([]byte(c.password))
	if c.kg != nil {
		key = crypto.PadPassword20(c.kg)
	}
	var err error
	c.sik, c.k1, c.k2, err = crypto.DeriveSessionKeys(c.auth, c.consoleRand[:], c.bmcRand[:], c.privilege|0x10, c.user, key)
	if err != nil {
		c.t.Fatal(err)
	}
	want, err := crypto.RAKP4ICV(c.auth, c.consoleRand[:], c.bmcID, c.bmcGUID[:], c.sik)
	if err != nil || !bytes.Equal(want, resp[8:]) {
		c.t.Fatalf("RAKP message 4 is not of this session (%v)", err)
	}
	return 0
}

// login opens a session.
func (c *console) login() {
	c.t.Helper()
	if status := c.open(); status != 0 {
		c.t.Fatalf("open session: status %#x", status)
	}
	if status, proven := c.rakp1(); status != 0 || !proven {
		c.t.Fatalf("RAKP 2: status %#x, proven %v", status, proven)
	}
	if status := c.rakp3(); status != 0 {
		c.t.Fatalf("RAKP 4: status %#x", status)
	}
}

// message builds an IPMI request.
func message15(rqSeq byte, q call) []byte {
	m := []byte{0x20, q[0] << 2}
	m = append(m, protocol.Checksum(m), 0x81, rqSeq<<2, q[1])
	m = append(m, q[2:]...)
	return append(m, protocol.Checksum(m[3:]))
}

// datagram builds the next datagram of the session.
func (c *console) datagram(q call) []byte {
	c.t.Helper()
	c.rqSeq = (c.rqSeq + 1) % 64
	c.seq++
	return c.seal(c.seq, message15(c.rqSeq, q))
}

// seal wraps an IPMI message with any sequence number.
func (c *console) seal(seq uint32, msg []byte) []byte {
	c.t.Helper()
	flags := types.PayloadFlagAuthenticated
	if !c.plain {
		var err error
		if msg, err = crypto.EncryptAESPayload(msg, c.k2, crypto.RandomBytes(16)); err != nil {
			c.t.Fatal(err)
		}
		flags |= types.PayloadFlagEncrypted
	}
	pkt := protocol.BuildRMCPPlusPacket(0, flags, c.bmcID, seq, msg)
	pad := types.IntegrityPadLen(12, len(msg))
	pkt = append(pkt, bytes.Repeat([]byte{0xff}, pad)...)
	pkt = append(pkt, byte(pad), 0x07)
	code, err := crypto.SessionIntegrityAuthCode(c.integrity, pkt[4:], c.k1, "")
	if err != nil {
		c.t.Fatal(err)
	}
	return append(pkt, code...)
}

// answer is a response to a command.
type answer struct {
	cmd, rqSeq, cc byte
	data           []byte
}

// unseal reads a datagram of the session.
func (c *console) unseal(pkt []byte) answer {
	c.t.Helper()
	id, seq, _, flags, payload, ok := protocol.ParseRMCPPlusHeader(pkt)
	if !ok || id != c.id || flags&types.PayloadFlagAuthenticated == 0 {
		c.t.Fatalf("not a datagram of session %#x: %x", c.id, pkt)
	}
	n, _ := crypto.IntegrityAuthCodeLen(c.integrity)
	code, err := crypto.SessionIntegrityAuthCode(c.integrity, pkt[4:len(pkt)-n], c.k1, "")
	if err != nil || !bytes.Equal(code, pkt[len(pkt)-n:]) || len(pkt[4:len(pkt)-n])%4 != 0 {
		c.t.Fatalf("wrong authentication code (%v): %x", err, pkt)
	}
	if seq > c.lastOutboundOfBMC {
		c.lastOutboundOfBMC = seq
	}
	if flags&types.PayloadFlagEncrypted != 0 {
		if payload, err = crypto.DecryptAESPayload(payload, c.k2); err != nil {
			c.t.Fatal(err)
		}
	} else if !c.plain {
		c.t.Fatalf("not encrypted: %x", pkt)
	}
	return readAnswer(c.t, payload)
}

// readAnswer reads an IPMI response.
func readAnswer(t testing.TB, m []byte) answer {
	t.Helper()
	last := len(m) - 1
	if last < 7 || m[0] != 0x81 || m[3] != 0x20 || m[1]>>2%2 != 1 ||
		protocol.Checksum(m[:2]) != m[2] || protocol.Checksum(m[3:last]) != m[last] {
		t.Fatalf("not a response: %x", m)
	}
	return answer{cmd: m[5], rqSeq: m[4] >> 2, cc: m[6], data: bytes.Clone(m[7:last])}
}

// do sends a command and returns the answer.
func (c *console) do(q call) answer {
	c.t.Helper()
	c.write(c.datagram(q))
	a := c.unseal(c.read())
	if a.cmd != q[1] || a.rqSeq != c.rqSeq {
		c.t.Fatalf("answer to command %#x/%d, want %#x/%d", a.cmd, a.rqSeq, q[1], c.rqSeq)
	}
	return a
}

// must sends a command that has to succeed and returns the data.
func (c *console) must(q call) []byte {
	c.t.Helper()
	a := c.do(q)
	if a.cc != ccOK {
		c.t.Fatalf("%x: completion code %#x", []byte(q), a.cc)
	}
	return a.data
}

// refused sends a command that has to end with cc.
func (c *console) refused(q call, cc byte) {
	c.t.Helper()
	if a := c.do(q); a.cc != cc {
		c.t.Errorf("%x: completion code %#x, want %#x", []byte(q), a.cc, cc)
	}
}

// on returns the power state the BMC reports.
func (c *console) on() bool {
	c.t.Helper()
	return c.must(callStatus)[0]&1 != 0
}

// raise raises the session's privilege.
func (c *console) raise(p Privilege) {
	c.t.Helper()
	if got := c.must(call{6, 0x3b, byte(p)}); got[0] != byte(p) {
		c.t.Fatalf("privilege %d, want %d", got[0], p)
	}
}

// closeRequest ends the session.
func (c *console) closeRequest() call {
	return binary.LittleEndian.AppendUint32(call{6, 0x3c}, c.bmcID)
}

// ping sends a presence ping.
func (c *console) ping() []byte {
	c.pingTag++
	return []byte{6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, c.pingTag, 0, 0}
}

// barrier proves that nothing but a pong comes: a BMC answers in order, so all
// datagrams sent before were dealt with, and nothing more answers them.
func (c *console) barrier() {
	c.t.Helper()
	c.write(c.ping())
	if pkt := c.read(); len(pkt) < 10 || pkt[3] != classASF || pkt[9] != c.pingTag {
		c.t.Fatalf("an answer nobody wanted: %x", pkt)
	}
}

// executed asserts a count of the ledger.
func executed(t testing.TB, b *BMC, name string, want int) {
	t.Helper()
	if got := b.Executed(name); got != want {
		t.Errorf("%q executed %d times, want %d", name, got, want)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 60_000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatalf("never happened: %s", what)
}
