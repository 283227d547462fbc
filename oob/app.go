package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"provision-plugins/oob/config"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// app is what every command has: its streams, its environment and the flags
// they all share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	// ask tells that stdin and stderr are a terminal, where a question can be
	// asked.
	ask bool
	// columns is how wide the terminal is that stderr is; nil where there is none
	// that a progress bar may be drawn on.
	columns func() int
	// signals hears the signals that end a command, until what it returns is
	// called.
	signals func() (<-chan os.Signal, func())
	// lasts, unless nil, is called by commands that may go on for days.
	lasts  func()
	flags  globalFlags
	config *config.File // once it is read
}

// globalFlags are the flags of every command.
type globalFlags struct {
	socket, endpoint    string
	tokenFile           string
	caFile, fingerprint string
	json                bool
}

// newApp is the app of this process.
func newApp() *app {
	in, errs := term.IsTerminal(int(os.Stdin.Fd())), term.IsTerminal(int(os.Stderr.Fd()))
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv:  os.Getenv,
		ask:     in && errs,
		signals: endSignals,
		lasts:   tidyMemory,
	}
	if errs && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		a.columns = stderrColumns
	}
	return a
}

// shortHeap is how much memory a command that soon ends may use before its garbage
// is collected.
const shortHeap = 256 << 20

// spendMemory leaves garbage where it is: collecting it takes a third of the time
// that the processors work for a command on a thousand machines. It is called first
// of all: the first collection is due when the commands are made, and would be waited
// for.
func spendMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return // somebody has decided
	}
	debug.SetMemoryLimit(shortHeap)
	debug.SetGCPercent(-1)
}

// tidyMemory undoes spendMemory.
func tidyMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(100)
}

// stderrColumns is how wide the terminal is now.
func stderrColumns() int {
	width, _, err := term.GetSize(int(os.Stderr.Fd()))
	if err != nil || width < 1 {
		return 80 // of a terminal that does not tell
	}
	return width
}

// endingSignals are those that end a command in order.
var endingSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// endSignals hears the signals of this process.
func endSignals() (<-chan os.Signal, func()) {
	heard := make(chan os.Signal, 4)
	signal.Notify(heard, endingSignals...)
	return heard, func() { signal.Stop(heard) }
}

// addGlobalFlags adds the flags of every command.
func (a *app) addGlobalFlags(fs *pflag.FlagSet) {
	fs.StringVar(&a.flags.socket, "socket", "", "unix `PATH` of the endpoint (default: $OOB_SOCKET, else the configuration file, else oob.sock in the data directory)")
	fs.StringVar(&a.flags.endpoint, "endpoint", "", "`URL` of an endpoint, in place of the socket (default: $OOB_ENDPOINT, else the configuration file)")
	fs.StringVar(&a.flags.tokenFile, "token-file", "", "`FILE` with the token for --endpoint (default: the token in $OOB_TOKEN, else $OOB_TOKEN_FILE, else the configuration file)")
	fs.StringVar(&a.flags.caFile, "ca-file", "", "PEM `FILE` of authorities that --endpoint is verified by (default: $OOB_CA_FILE, else the configuration file)")
	fs.StringVar(&a.flags.fingerprint, "fingerprint", "", "`SHA256` of the certificate of --endpoint (default: $OOB_FINGERPRINT, else the configuration file)")
	fs.BoolVar(&a.flags.json, "json", false, "print JSON, one object a line")
}

// connect makes the client that the flags, the environment and the
// configuration file ask for.
func (a *app) connect() (*client.Client, error) {
	conn, err := a.connection()
	if err != nil {
		return nil, err
	}
	if conn.socket.value != "" {
		return client.New(client.Options{Socket: conn.socket.value})
	}
	token, err := conn.bearer()
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{
		Endpoint: conn.endpoint.value, Token: strings.TrimSpace(token),
		CAFile: conn.caFile.value, Fingerprint: conn.fingerprint.value,
	})
}

// withClient calls fn with a client and closes it.
func (a *app) withClient(fn func(c *client.Client) error) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return fn(c)
}

// socketName is the socket's name in the data directory.
const socketName = "oob.sock"

// defaultSocket is the socket of the endpoint on this machine.
func (a *app) defaultSocket() (string, error) {
	dir, err := a.defaultDataDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, socketName), nil
}

// defaultDataDir is where `oob serve` keeps its data by default.
func (a *app) defaultDataDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/oob", nil
	}
	if dir := a.getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "oob"), nil
	}
	home := a.getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", usage("cannot find the data directory: HOME is not set; name --socket, or --data-dir of serve")
	}
	return filepath.Join(home, ".local", "state", "oob"), nil
}

// printJSON prints one JSON line.
func (a *app) printJSON(v any) error {
	if err := model.Encode(a.stdout, v); err != nil {
		return model.Errorf(model.Internal, "cannot print: %w", err)
	}
	return nil
}

// printLine prints one line for people.
func (a *app) printLine(text string) error {
	if _, err := fmt.Fprintln(a.stdout, clean(text)); err != nil {
		return model.Errorf(model.Internal, "cannot print: %w", err)
	}
	return nil
}
