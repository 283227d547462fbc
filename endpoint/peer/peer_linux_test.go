package peer

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"provision-plugins/shared/plugin/sandbox"
)

// envDial has the test binary connect to a socket and wait.
const envDial = "PEER_TEST_DIAL"

func TestMain(m *testing.M) {
	if path := os.Getenv(envDial); path != "" {
		os.Exit(dial(path))
	}
	goleak.VerifyTestMain(m)
}

// dial connects and waits until the other end closes.
func dial(path string) int {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return 1
	}
	_, _ = conn.Read(make([]byte, 1)) // it ends with the connection
	return 0
}

// accepted listens, has a client connect and returns the connection.
func accepted(t *testing.T, connect func(path string)) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // nothing waits on it
	connect(path)
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // closed already by some tests
	return conn.(*net.UnixConn)
}

// start runs the test binary as a client.
func start(t *testing.T, rules *sandbox.Rules, path string, wrap ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if rules != nil {
		more := rules.With(sandbox.Rules{Run: []string{self}, Read: []string{filepath.Dir(path)}})
		rules = &more
	}
	args := append(wrap, self)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{envDial + "=" + path, "GORACE=atexit_sleep_ms=0", "PATH=/usr/bin:/bin"}
	if err := sandbox.Start(cmd, rules); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestOurselves(t *testing.T) {
	var client net.Conn
	conn := accepted(t, func(path string) {
		var err error
		if client, err = net.Dial("unix", path); err != nil {
			t.Fatal(err)
		}
	})
	defer client.Close()
	if got, err := Of(conn); err != nil || got != (Peer{UID: os.Geteuid()}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A child is confined if it was started so, whatever it becomes.
func TestChildren(t *testing.T) {
	system := sandbox.System()
	for name, c := range map[string]struct {
		rules *sandbox.Rules
		wrap  []string
		want  bool
	}{
		"free":              {nil, nil, false},
		"confined":          {&system, nil, true},
		"of another shell":  {&system, []string{"/bin/sh", "-c", `"$0" & wait`}, true},
		"of its own":        {&system, []string{"setsid", "--wait"}, true},
		"free, of a shell":  {nil, []string{"/bin/sh", "-c", `"$0" & wait`}, false},
		"left by its maker": {&system, []string{"/bin/sh", "-c", `(setsid "$0" &)`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var cmd *exec.Cmd
			conn := accepted(t, func(path string) { cmd = start(t, c.rules, path, c.wrap...) })
			got, err := Of(conn)
			if err != nil || got.Confined != c.want || got.UID != os.Geteuid() {
				t.Errorf("%+v, %v", got, err)
			}
			_ = conn.Close()
			_ = cmd.Wait() // its state is of no matter
		})
	}
}

// Who has ended cannot be told from who has its number now.
func TestAPeerThatHasEnded(t *testing.T) {
	var cmd *exec.Cmd
	conn := accepted(t, func(path string) { cmd = start(t, nil, path) })
	_ = cmd.Process.Kill() // it waits for us
	_ = cmd.Wait()         // killed
	if got, err := Of(conn); err == nil {
		t.Errorf("%+v", got)
	}
}

func TestAClosedConnection(t *testing.T) {
	conn := accepted(t, func(path string) {
		client, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() }) // nothing was sent
	})
	_ = conn.Close()
	if _, err := Of(conn); err == nil {
		t.Error("no error")
	}
}

// Who is told is the user, whatever the group. Another user's process is seen where
// this one may start some; elsewhere one of its own group is all there is.
func TestAnotherUser(t *testing.T) {
	want, as := os.Geteuid(), (*syscall.SysProcAttr)(nil)
	if want == 0 {
		want, as = 4711, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711, Gid: 4712, NoSetGroups: true}}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var cmd *exec.Cmd
	conn := accepted(t, func(path string) {
		dir := filepath.Dir(path)
		// Where the test binary is nobody else may look.
		program, err := os.ReadFile(self)
		err = errors.Join(err, os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755), os.Chmod(path, 0o666),
			os.WriteFile(filepath.Join(dir, "client"), program, 0o755))
		if err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command(filepath.Join(dir, "client"))
		cmd.Env, cmd.SysProcAttr = []string{envDial + "=" + path, "GORACE=atexit_sleep_ms=0"}, as
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	got, err := Of(conn)
	if err != nil || got != (Peer{UID: want}) {
		t.Errorf("%+v, %v, want uid %d", got, err, want)
	}
	_ = conn.Close()
	_ = cmd.Wait() // its state is of no matter
}

// Of another user's process nothing more is asked: it may be hidden, as root's is
// from a service, and it is none that was started here. Of one of our own user that
// cannot be looked at nobody knows what it is.
func TestWhoCannotBeLookedAt(t *testing.T) {
	var client net.Conn
	conn := accepted(t, func(path string) {
		var err error
		if client, err = net.Dial("unix", path); err != nil {
			t.Fatal(err)
		}
	})
	defer client.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	hidden := func(int) (bool, error) { return true, os.ErrNotExist }
	cred := &unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Geteuid()), Gid: 4712}
	err = raw.Control(func(fd uintptr) {
		if got, err := look(int(fd), cred, os.Geteuid()+1, hidden); err != nil || got != (Peer{UID: os.Geteuid()}) {
			t.Errorf("of another user: %+v, %v", got, err)
		}
		if got, err := look(int(fd), cred, os.Geteuid(), hidden); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("of our own: %+v, %v", got, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
