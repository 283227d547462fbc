package toy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// The driver's modes.
const (
	Native = "native" // the device cycles by itself
	Steps  = "steps"  // only on and off are used
	Bare   = "bare"   // the state can be read and no more
	Gone   = "gone"   // not supported any more
)

// Driver reaches a Device. Its params are toy/address, toy/username,
// toy/password, toy/mode and toy/identify-duration.
type Driver struct {
	// Dial connects; nil means TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Name is the driver's name.
func (*Driver) Name() string { return "toy" }

// Modes lists the driver's modes.
func (*Driver) Modes() []driver.Mode {
	return []driver.Mode{
		{Name: Native, Session: &NativeSession{}},
		{Name: Steps, Session: (*Session)(nil)},
		{Name: Bare, Session: &BareSession{}},
		{Name: Gone},
	}
}

// ActionParams lists the params of every action.
func (*Driver) ActionParams(command string) (required, optional []string) {
	required, optional = []string{"toy/address", "toy/username", "toy/password"}, []string{"toy/mode"}
	if command == model.Identify {
		optional = append(optional, "toy/identify-duration")
	}
	return required, optional
}

// IdentifyDuration reads toy/identify-duration.
func (*Driver) IdentifyDuration(p model.Params) (time.Duration, error) {
	return p.Seconds("toy/identify-duration", 15*time.Second, time.Minute)
}

// Open connects and logs in.
func (d *Driver) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	words := make(map[string]string)
	for _, name := range []string{"address", "username", "password", "mode"} {
		v, err := t.Params.String("toy/"+name, "")
		if err != nil {
			return nil, err
		}
		words[name] = v
	}
	if words["address"] == "" {
		return nil, model.Errorf(model.Invalid, "param toy/address is not set")
	}
	if words["mode"] == Gone {
		return nil, model.Errorf(model.Unsupported, "mode %s is not supported; use %s", Gone, Native)
	}
	conn, err := d.dial(ctx, words["address"])
	if err != nil {
		return nil, model.Errorf(model.Unreachable, "cannot reach %s: %w", words["address"], err)
	}
	s := &Session{conn: conn, in: bufio.NewReader(conn), address: words["address"]}
	if err := s.login(ctx, words["username"], words["password"]); err != nil {
		_ = conn.Close() // the login's error tells more
		return nil, err
	}
	switch words["mode"] {
	case Steps:
		return s, nil
	case Bare:
		return &BareSession{s}, nil
	}
	return &NativeSession{s}, nil
}

// dial connects by the driver's Dial.
func (d *Driver) dial(ctx context.Context, address string) (net.Conn, error) {
	if d.Dial != nil {
		return d.Dial(ctx, address)
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", address)
}

// Session is a connection to a device that knows on and off.
type Session struct {
	conn    net.Conn
	in      *bufio.Reader
	address string
}

// NativeSession is a Session to a device that also cycles by itself.
type NativeSession struct{ *Session }

// BareSession can read the state and no more.
type BareSession struct{ inner *Session }

// Causes of calls that did not succeed.
var (
	errLost   = errors.New("no reply")
	errClosed = errors.New("the connection is closed")
)

// Call sends a line and returns the reply. sent tells whether the device may
// have got the line.
func (s *Session) Call(ctx context.Context, line string) (reply string, sent bool, err error) {
	if ctx.Err() != nil {
		return "", false, fmt.Errorf("not sent: %w", ctx.Err())
	}
	if err := s.conn.SetDeadline(time.Time{}); err != nil {
		return "", false, errClosed
	}
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) }) // fails on a closed one only
	defer stop()
	if _, err := fmt.Fprintln(s.conn, line); err != nil {
		return "", true, errLost
	}
	reply, err = s.in.ReadString('\n')
	if err != nil {
		return "", true, errLost
	}
	return strings.TrimSpace(reply), true, nil
}

// login authenticates.
func (s *Session) login(ctx context.Context, user, password string) error {
	reply, _, err := s.Call(ctx, "login "+user+" "+password)
	if err != nil {
		return model.Errorf(model.Unreachable, "no answer from %s", s.address)
	}
	if reply != "ok" {
		return model.Errorf(model.DeviceAuth, "%s refused the login of %s", s.address, user)
	}
	return nil
}

// read sends a reading command.
func (s *Session) read(ctx context.Context, line string) (string, error) {
	reply, _, err := s.Call(ctx, line)
	if err != nil {
		return "", model.Errorf(model.Unreachable, "no answer from %s", s.address)
	}
	return reply, nil
}

// change sends a changing command once.
func (s *Session) change(ctx context.Context, line string) error {
	reply, sent, err := s.Call(ctx, line)
	switch {
	case err != nil && !sent:
		return model.Errorf(model.Unreachable, "cannot send to %s: %w", s.address, err)
	case err != nil:
		return model.Errorf(model.UnknownOutcome, "no reply from %s", s.address)
	case reply != "ok":
		return model.Errorf(model.Conflict, "the device answers %q", reply)
	}
	return nil
}

// Close ends the connection.
func (s *Session) Close(context.Context) error { return s.conn.Close() }

// PowerState reads the state.
func (s *Session) PowerState(ctx context.Context) (driver.Reading, error) {
	reply, err := s.read(ctx, "power")
	state := model.StateUnknown
	switch reply {
	case "on":
		state = model.StateOn
	case "off":
		state = model.StateOff
	}
	return driver.Reading{State: state, Raw: "power is " + reply}, err
}

// SetPower orders on or off.
func (s *Session) SetPower(ctx context.Context, on bool) error {
	if on {
		return s.change(ctx, model.PowerOn)
	}
	return s.change(ctx, model.PowerOff)
}

// PowerSoft asks the operating system to shut down.
func (s *Session) PowerSoft(ctx context.Context) error { return s.change(ctx, model.PowerSoft) }

// PowerReset resets.
func (s *Session) PowerReset(ctx context.Context) error { return s.change(ctx, model.PowerReset) }

// PowerNMI interrupts.
func (s *Session) PowerNMI(ctx context.Context) error { return s.change(ctx, model.PowerNMI) }

// SetBoot sets the override.
func (s *Session) SetBoot(ctx context.Context, device model.BootDevice, persistent bool) error {
	often := " once"
	if persistent {
		often = " always"
	}
	return s.change(ctx, "setboot "+string(device)+often)
}

// BootDevices lists what SetBoot takes.
func (*Session) BootDevices(persistent bool) []model.BootDevice {
	if persistent {
		return []model.BootDevice{model.BootPXE, model.BootDisk}
	}
	return []model.BootDevice{model.BootPXE, model.BootDisk, model.BootCD, model.BootBIOS}
}

// Boot reads the override.
func (s *Session) Boot(ctx context.Context) (model.BootOverride, error) {
	reply, err := s.read(ctx, "boot")
	device, often, _ := strings.Cut(reply, " ")
	return model.BootOverride{
		Device: model.BootDevice(device), Persistent: often == "always",
		Valid: device != "" && device != string(model.BootNone), Raw: reply,
	}, err
}

// Identify lights the locator.
func (s *Session) Identify(ctx context.Context, d time.Duration) error {
	return s.change(ctx, fmt.Sprintf("identify %.0f", d.Seconds()))
}

// Health reads the health.
func (s *Session) Health(ctx context.Context) (any, error) {
	reply, err := s.read(ctx, "health")
	return map[string]any{"Status": reply}, err
}

// Identity reads the serial number.
func (s *Session) Identity(ctx context.Context) (model.Identity, error) {
	reply, err := s.read(ctx, "serial")
	if err == nil && reply == "none" {
		reply, err = "", model.Errorf(model.Unsupported, "the device has no serial number")
	}
	return model.Identity{ID: reply, Source: "serial number"}, err
}

// Doctor looks whether the device takes the login.
func (d *Driver) Doctor(ctx context.Context, t *driver.Target) (*model.Checkup, error) {
	var c model.Checkup
	s, err := d.Open(ctx, t)
	if err != nil {
		c.Add(model.Check{Name: "login", Verdict: model.VerdictFailed, Kind: model.KindOf(err), Cause: model.AsError(err).Text()})
		return &c, nil
	}
	c.Add(model.Check{Name: "login", Verdict: model.VerdictOK})
	return &c, s.Close(ctx)
}

// PowerCycle orders a cycle.
func (s *NativeSession) PowerCycle(ctx context.Context) error { return s.change(ctx, model.PowerCycle) }

// Close ends the connection.
func (s *BareSession) Close(ctx context.Context) error { return s.inner.Close(ctx) }

// PowerState reads the state.
func (s *BareSession) PowerState(ctx context.Context) (driver.Reading, error) {
	return s.inner.PowerState(ctx)
}
