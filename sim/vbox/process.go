package vbox

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// serves reports whether a serial port is one that people connect to.
func (m *machine) serves() bool {
	for i := range m.UARTs {
		if u := &m.UARTs[i]; u.Hardware != "" && (u.Mode == "server" || u.Mode == "tcpserver") {
			return true
		}
	}
	return false
}

// spawn starts the process of a virtual machine and waits until it is there. It
// outlives the command.
func (h *Host) spawn(uuid string) error {
	cmd := exec.Command(filepath.Join(h.dir, headlessName), "--comment", uuid, "--startvm", uuid, "--vrde", "config")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", os.Environ(), detached()
	ready, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("cannot start VBoxHeadless: %w", err)
	}
	// It writes a byte once its sockets are open.
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		return errors.Join(errors.New("cannot start VBoxHeadless: it ended at once"), cmd.Wait())
	}
	return h.with(uuid, func(_ *world, m *machine) error {
		if !m.on() {
			return cmd.Process.Kill() // somebody stopped it meanwhile
		}
		m.Pid = cmd.Process.Pid
		return nil
	})
}

// Bounds of the process of a virtual machine.
const (
	holdFor  = 20 * time.Second // of a child that only holds the output open
	lookGap  = 250 * time.Millisecond
	liveMost = time.Hour
)

// headless is the process of a virtual machine: it serves the serial ports until
// it is killed, or its host's folder is gone.
func (h *Host) headless(args []string) int {
	if len(args) > 0 && args[0] == "--hold" {
		wait(holdFor)
		return 0
	}
	if len(args) < 4 {
		return 2
	}
	var ports []net.Listener
	err := h.with(args[3], func(_ *world, m *machine) error {
		for i := range m.UARTs {
			l, err := m.UARTs[i].listen()
			if err != nil {
				return err
			}
			if l != nil {
				ports = append(ports, l)
			}
		}
		return nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "VBoxHeadless:", err)
		return 1
	}
	for _, l := range ports {
		go h.console(l, args[3])
	}
	if _, err := os.Stdout.WriteString("."); err != nil {
		return 1
	}
	_ = os.Stdout.Close() // whoever started us waits for no more
	look := time.NewTicker(lookGap)
	defer look.Stop()
	for began := time.Now(); time.Since(began) < liveMost; <-look.C {
		if _, err := os.Stat(filepath.Join(h.dir, stateFile)); err != nil {
			break
		}
	}
	return 0
}

// listen opens a serial port's socket, nil if it has none.
func (u *uart) listen() (net.Listener, error) {
	switch {
	case u.Hardware == "":
		return nil, nil
	case u.Mode == "server":
		if err := os.Remove(u.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return net.Listen("unix", u.Path)
	case u.Mode == "tcpserver":
		return net.Listen("tcp", net.JoinHostPort("127.0.0.1", u.Path))
	}
	return nil, nil
}

// console serves one serial port, one client after another as the device does:
// a greeting, then what the client writes comes back.
func (h *Host) console(l net.Listener, uuid string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, err = fmt.Fprintf(c, "\r\nsimulated %s\r\nlogin: ", uuid)
		buf := make([]byte, 4096)
		for err == nil {
			var n int
			if n, err = c.Read(buf); n > 0 {
				_, err = c.Write(bytes.ReplaceAll(buf[:n], []byte("\r"), []byte("\r\n")))
			}
		}
		_ = c.Close()
	}
}

// Size of the simulated screen.
const (
	screenWidth  = 720
	screenHeight = 400
)

// screen draws a virtual machine's screen: one colour, its own.
func screen(uuid string) ([]byte, error) {
	sum := byte(0)
	for _, c := range []byte(uuid) {
		sum += c
	}
	img := image.NewPaletted(image.Rect(0, 0, screenWidth, screenHeight), color.Palette{color.RGBA{0, sum, 128, 255}})
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, fmt.Errorf("cannot draw the screen: %w", err)
	}
	return out.Bytes(), nil
}
