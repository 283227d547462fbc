// Package toy is a device with a line protocol and a driver for it, to try
// Provider and the conformance suite on: small enough to be judged by reading,
// and spoken over real connections.
//
// A request is one line, a reply is one line. "login USER PASSWORD" comes
// first; then "power", "boot", "serial" and "health" read, and every other command of
// the vocabulary changes something.
package toy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// The faults of a device. They have the names of the suite's.
const (
	LoseReply   = "lose-reply"
	LoseRequest = "lose-request"
	Refuse      = "refuse"
	Silent      = "silent"
	Stuck       = "stuck"
	Strange     = "strange"
)

// Device is a machine with a controller. It is made by NewDevice.
type Device struct {
	// PowerDelay is how long an order takes to show.
	PowerDelay time.Duration
	// CycleOff is how long a cycle stays off.
	CycleOff time.Duration
	// Serial is the serial number; it may be empty.
	Serial string
	// User and Password are what login takes.
	User, Password string

	mu       sync.Mutex // guards all below
	power    bool
	coming   []change
	executed map[string]int
	refused  int // logins
	fault    string
	command  string // that the fault hits; "" for all
	boot     string // as in a reply
	lit      string
	listener net.Listener
	conns    map[net.Conn]bool
	closed   bool
	serving  sync.WaitGroup
}

// change is a power state to come.
type change struct {
	at time.Time
	on bool
}

// NewDevice returns a device that is on.
func NewDevice() *Device {
	return &Device{
		PowerDelay: 20 * time.Millisecond, CycleOff: 250 * time.Millisecond,
		Serial: "TOY-1", User: "operator", Password: "wry-Heron/27+salt",
		power: true, boot: "none once", executed: make(map[string]int), conns: make(map[net.Conn]bool),
	}
}

// Listen serves on a free port of the loopback and returns the address.
func (d *Device) Listen() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot listen: %w", err)
	}
	d.listener = l
	d.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the listener is closed
			}
			d.Serve(c)
		}
	})
	return l.Addr().String(), nil
}

// Dial connects to the device without a network.
func (d *Device) Dial(context.Context, string) (net.Conn, error) {
	near, far := net.Pipe()
	if !d.Serve(far) {
		return nil, errors.New("connection refused")
	}
	return near, nil
}

// Serve answers on a connection until it ends. It reports false when the device
// is closed.
func (d *Device) Serve(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = c.Close() // nothing was said on it
		return false
	}
	d.conns[c] = true
	d.serving.Go(func() {
		d.talk(c)
		d.mu.Lock()
		delete(d.conns, c)
		d.mu.Unlock()
		_ = c.Close() // the peer is gone or will be told so by this
	})
	return true
}

// Close ends all connections and waits for them.
func (d *Device) Close() {
	d.mu.Lock()
	d.closed = true
	if d.listener != nil {
		_ = d.listener.Close() // nothing is lost by its error
	}
	for c := range d.conns {
		_ = c.Close() // nothing is lost by its error
	}
	d.mu.Unlock()
	d.serving.Wait()
}

// talk answers line by line.
func (d *Device) talk(c net.Conn) {
	in := bufio.NewScanner(c)
	in.Buffer(make([]byte, 0, 256), 1024)
	in.Split(bufio.ScanLines)
	known := false
	for in.Scan() {
		words := strings.Fields(in.Text())
		if len(words) == 0 {
			continue
		}
		reply := "denied"
		if words[0] == "login" {
			known = d.admits(words)
		}
		if known {
			reply = d.answer(words)
		}
		if d.hit(Silent, words[0]) || reply == "" {
			continue
		}
		if _, err := fmt.Fprintln(c, reply); err != nil {
			return
		}
	}
}

// admits checks a login.
func (d *Device) admits(words []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	ok := len(words) == 3 && words[1] == d.User && words[2] == d.Password
	if !ok {
		d.refused++
	}
	return ok
}

// answer executes a request and returns the reply, "" when it is lost.
func (d *Device) answer(words []string) string {
	command := words[0]
	if d.hit(Silent, command) || d.hit(LoseRequest, command) {
		return ""
	}
	if d.hit(Refuse, command) {
		return "refused"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	reply := d.execute(command, strings.Join(words[1:], " "))
	if d.fault == LoseReply && d.command == command {
		return ""
	}
	return reply
}

// execute does one command. The lock is held.
func (d *Device) execute(command, arg string) string {
	now := time.Now()
	on := d.powerAt(now)
	switch command {
	case "login":
		return "ok"
	case "power":
		if d.fault == Strange {
			return "sideways"
		}
		return map[bool]string{true: "on", false: "off"}[on]
	case "boot":
		return d.boot
	case "serial":
		return d.serial()
	case "health":
		return "fine"
	case "setboot":
		d.boot = arg
	case "identify":
		d.lit = arg
	case "powercycle", "powerreset", "powernmi":
		if !on {
			return "refused"
		}
	case "poweron", "poweroff", "powersoft":
	default:
		return "what"
	}
	d.executed[command]++
	if d.fault != Stuck {
		d.move(command, now.Add(d.PowerDelay))
	}
	return "ok"
}

// serial is the serial number in a reply.
func (d *Device) serial() string {
	if d.Serial == "" {
		return "none"
	}
	return d.Serial
}

// move plans what a command does to the power. The lock is held.
func (d *Device) move(command string, at time.Time) {
	switch command {
	case "poweron":
		d.coming = append(d.coming, change{at, true})
	case "poweroff", "powersoft":
		d.coming = append(d.coming, change{at, false})
	case "powercycle":
		d.coming = append(d.coming, change{at, false}, change{at.Add(d.CycleOff), true})
	}
}

// powerAt carries out what is due and returns the state. The lock is held.
func (d *Device) powerAt(now time.Time) bool {
	for len(d.coming) > 0 && !d.coming[0].at.After(now) {
		d.power = d.coming[0].on
		d.coming = d.coming[1:]
	}
	return d.power
}

// hit reports whether the fault is arranged for the command.
func (d *Device) hit(fault, command string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fault == fault && (d.command == "" || d.command == command)
}

// SetFault arranges a fault for a command, "" for all; an empty fault ends it.
func (d *Device) SetFault(fault, command string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.command = fault, command
}

// Executed counts the executions of a command.
func (d *Device) Executed(command string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.executed[command]
}

// Power reports whether the machine is on.
func (d *Device) Power() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.powerAt(time.Now())
}

// SetPower puts the machine on or off at once.
func (d *Device) SetPower(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.power, d.coming = on, nil
}

// Boot returns the override as it is stored, such as "pxe once".
func (d *Device) Boot() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.boot
}

// Lit returns the seconds of the last identify.
func (d *Device) Lit() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lit
}

// Refused counts the logins that were refused.
func (d *Device) Refused() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

// Sessions counts the open connections.
func (d *Device) Sessions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}
