package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// consolePath is where the plugin serves consoles: below /plugin-apis/NAME/, by
// the VM's UUID.
const consolePath = "/console/"

// serialConsole is the answer of console: where the VM's serial port is.
type serialConsole struct {
	// Websocket is the path of it, below the endpoint's address.
	Websocket string `json:"websocket"`
	Port      int    `json:"port"`
	Mode      string `json:"mode"`
	Path      string `json:"path"`
}

// console tells where the VM's serial port is served.
func (s *session) console(ctx context.Context, _ model.Params) (any, error) {
	info, err := s.info(ctx)
	if err != nil {
		return nil, err
	}
	port, err := consolePort(info)
	if err != nil {
		return nil, err
	}
	return serialConsole{
		Websocket: "/plugin-apis/" + s.driver.served() + consolePath + info.UUID, Port: port.Number, Mode: port.Mode, Path: port.Path,
	}, nil
}

// served is the name below which the plugin is served: the plugin object's.
func (d *vboxDriver) served() string {
	if n := d.name.Load(); n != nil {
		return *n
	}
	return name
}

// consolePort finds the first serial port of a VM that can be connected to.
func consolePort(info *vbox.Info) (vbox.UART, error) {
	for _, u := range info.UARTs {
		if u.Mode == "server" && u.Path != "" || u.Mode == "tcpserver" && u.Path != "" {
			return u, nil
		}
	}
	return vbox.UART{}, model.Errorf(model.Unsupported,
		"VM %s has no serial port on a socket; while it is off, run: VBoxManage modifyvm %s --uart1 0x3F8 4 --uartmode1 server /path/to/socket", info.UUID, info.UUID)
}

// Bounds of a console.
const (
	consoleDial  = 5 * time.Second
	consoleWrite = 10 * time.Second
	consolePing  = 20 * time.Second
	consoleChunk = 4 << 10
	maxKeys      = 64 << 10 // of one message from a client
)

// consoles serves serial ports as websockets.
type consoles struct {
	driver   *vboxDriver
	upgrader websocket.Upgrader
}

// newConsoles returns the handler. Whether the page of a browser may ask was
// looked at before it is called.
func newConsoles(d *vboxDriver) http.Handler {
	return &consoles{driver: d, upgrader: websocket.Upgrader{
		ReadBufferSize: consoleChunk, WriteBufferSize: consoleChunk, CheckOrigin: func(*http.Request) bool { return true },
	}}
}

// ServeHTTP connects a client with the serial port of the VM that the path names.
func (c *consoles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, id, found := strings.Cut(r.URL.Path, consolePath)
	if !found || !uuidForm.MatchString(id) {
		http.NotFound(w, r)
		return
	}
	serial, err := c.dial(r.Context(), strings.ToLower(id))
	if err != nil {
		e := model.AsError(err)
		http.Error(w, e.Text(), e.Code)
		return
	}
	defer serial.Close()
	client, err := c.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it was answered
	}
	defer client.Close()
	client.SetReadLimit(maxKeys)
	// Each way ends the other by closing its connection.
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer client.Close()
		fromSerial(client, serial)
	}()
	defer context.AfterFunc(r.Context(), func() { _ = client.Close() })()
	toSerial(client, serial)
	_ = serial.Close() // that ends the other way
	<-done
}

// dial connects to the VM's serial port.
func (c *consoles) dial(ctx context.Context, id string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, consoleDial)
	defer cancel()
	info, err := c.driver.session(&target{id: id}).info(ctx)
	if err != nil {
		return nil, err
	}
	port, err := consolePort(info)
	if err != nil {
		return nil, err
	}
	if info.State.Power != model.StateOn {
		return nil, model.Errorf(model.Conflict, "the VM is %s: its serial port is not there", info.State.Word)
	}
	network, address := "unix", port.Path
	if port.Mode == "tcpserver" {
		network, address = "tcp", net.JoinHostPort("127.0.0.1", port.Path)
	} else if at, err := os.Lstat(port.Path); err == nil && at.Mode().Type() != os.ModeSocket {
		return nil, model.Errorf(model.Conflict, "serial port %d leads to %s, which is no socket", port.Number, port.Path)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, model.Errorf(model.Unreachable, "the serial port cannot be reached, or another console has it: %w", err)
	}
	return conn, nil
}

// fromSerial sends what the guest writes until either end is closed. A client
// that has left without a word is found out by pings.
func fromSerial(client *websocket.Conn, serial net.Conn) {
	out := make([]byte, consoleChunk)
	for {
		if err := serial.SetReadDeadline(time.Now().Add(consolePing)); err != nil {
			return
		}
		n, err := serial.Read(out)
		late := time.Now().Add(consoleWrite)
		switch {
		case n > 0:
			if client.SetWriteDeadline(late) != nil || client.WriteMessage(websocket.BinaryMessage, out[:n]) != nil {
				return
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			if client.WriteControl(websocket.PingMessage, nil, late) != nil {
				return
			}
		default:
			_ = client.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "the serial port is closed"), late) // it is closed anyway
			return
		}
	}
}

// toSerial sends what a client types until either end is closed.
func toSerial(client *websocket.Conn, serial net.Conn) {
	for {
		_, keys, err := client.ReadMessage()
		if err != nil {
			return
		}
		if serial.SetWriteDeadline(time.Now().Add(consoleWrite)) != nil {
			return
		}
		if _, err := serial.Write(keys); err != nil {
			return
		}
	}
}
