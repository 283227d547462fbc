package main

import (
	"encoding/base64"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
	manage "provision-plugins/virtualbox-ipmi/vbox"
)

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	for _, command := range []string{actionPause, actionResume, actionSaveState} {
		_, err := act(i, command, vm)
		want(t, err, model.Conflict, "poweroff", "nothing was sent")
	}
	mustAct(t, i, model.PowerOn, vm)
	for _, row := range []struct {
		command, word string
		changed       bool
	}{{actionPause, "paused", true}, {actionPause, "paused", false}, {actionResume, "running", true}, {actionResume, "running", false}} {
		res := mustAct(t, i, row.command, vm)
		if res.Raw != row.word || res.Changed == nil || *res.Changed != row.changed || res.Outcome != model.Verified || look(t, h, vm).State != row.word {
			t.Errorf("%s: %+v", row.command, res)
		}
	}
	if n := executed(t, h, vm, "pause"); n != 1 {
		t.Errorf("paused %d times", n)
	}
	mustAct(t, i, actionPause, vm)
	_, err := act(i, model.PowerReset, vm)
	want(t, err, model.Conflict, "Paused")
	mustAct(t, i, model.PowerOff, vm)
}

// A machine that is protected is neither paused nor saved, whatever the request
// says of its protection.
func TestProtectedMachine(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	mustAct(t, i, model.PowerOn, vm)
	for _, command := range []string{actionPause, actionSaveState} {
		_, err := i.Action(t.Context(), &model.Action{
			Model:   &model.Machine{Name: "m1", Uuid: vm, Params: model.Params{"oob/protected": true}},
			Command: command, Params: model.Params{paramID: vm, "oob/protected": false},
		})
		want(t, err, model.Forbidden, "oob/protected")
	}
	if got := look(t, h, vm).State; got != "running" {
		t.Errorf("it is %s", got)
	}
}

func TestScreenshot(t *testing.T) {
	t.Parallel()
	i, _, vm := simPlugin(t, simOptions())
	_, err := act(i, actionScreenshot, vm)
	want(t, err, model.Conflict, "shows nothing")
	mustAct(t, i, model.PowerOn, vm)
	got, err := act(i, actionScreenshot, vm)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := got.(picture)
	raw, err := base64.StdEncoding.DecodeString(p.Data)
	if err != nil || p.ContentType != "image/png" || !strings.HasPrefix(string(raw), pngMagic) {
		t.Errorf("%s, %d bytes, %v", p.ContentType, len(raw), err)
	}
}

// A picture is what VirtualBox wrote, and nothing that a link leads to.
func TestReadPicture(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "screen.png")
	check := func(says string) {
		t.Helper()
		_, err := readPicture(file)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	check("no picture")
	if err := os.Symlink("/etc/hostname", file); err != nil {
		t.Fatal(err)
	}
	check("no picture")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("JFIF"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("no PNG")
	if err := os.WriteFile(file, make([]byte, maxPicture+1), 0o600); err != nil {
		t.Fatal(err)
	}
	check("MiB")
	if _, err := pictureFolder("no such user here"); model.KindOf(err) != model.Invalid {
		t.Errorf("a user that is not there: %v", err)
	}
}

func TestISO(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	iso := filepath.Join(t.TempDir(), "boot image.iso")
	if err := os.WriteFile(iso, []byte("CD001"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustAct(t, i, model.PowerOn, vm) // a drive takes an image also then
	for _, changed := range []bool{true, false} {
		got, err := act(i, actionMountISO, vm, model.Params{paramISO: iso})
		if m, _ := got.(mount); err != nil || m.ISO != iso || m.Changed != changed {
			t.Errorf("mountIso: %+v, %v", got, err)
		}
	}
	for _, changed := range []bool{true, false} {
		got, err := act(i, actionUnmountISO, vm)
		if m, _ := got.(mount); err != nil || m.ISO != "" || m.Changed != changed {
			t.Errorf("unmountIso: %+v, %v", got, err)
		}
	}
	if n := executed(t, h, vm, "storage"); n != 2 {
		t.Errorf("%d changes of the drive", n)
	}
	for _, bad := range []string{"boot.iso", "/etc/passwd", "host:/dev/sr0", "/a\n.iso", "emptydrive"} {
		_, err := act(i, actionMountISO, vm, model.Params{paramISO: bad})
		want(t, err, model.Invalid, paramISO)
	}
	_, err := act(i, actionMountISO, vm)
	want(t, err, model.Invalid, paramISO+" is not set")
	_, err = act(i, actionMountISO, vm, model.Params{paramISO: "/nonexistent/none.iso"})
	want(t, err, model.Conflict)
}

func TestDriveOf(t *testing.T) {
	t.Parallel()
	info := &manage.Info{Controllers: []manage.Controller{{Name: "IDE", Media: []manage.Medium{{Path: "/a.vdi"}, {Port: 1, Device: 1, Path: "/b.ISO"}}}}}
	if d, in, ok := driveOf(info); !ok || in != "/b.ISO" || d.Port != 1 || d.Device != 1 || d.Controller != "IDE" {
		t.Errorf("%+v %q %v", d, in, ok)
	}
	if _, _, ok := driveOf(&manage.Info{}); ok {
		t.Error("a VM without drives has one")
	}
}

// serialVM is a plugin with a VM whose serial port is a socket, and runs.
func serialVM(t *testing.T) (*impl, string) {
	t.Helper()
	i, h, vm := simPlugin(t, simOptions())
	run(t, h, "modifyvm", vm, "--uart1", "0x3F8", "4", "--uartmode1", "server", filepath.Join(shortDir(t), "s"))
	return i, vm
}

// shortDir is a folder whose path leaves room in the address of a socket.
func shortDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "v")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// The serial port of a VM is a websocket: what the guest writes comes, and what is
// typed goes.
func TestConsole(t *testing.T) {
	t.Parallel()
	i, vm := serialVM(t)
	mustAct(t, i, model.PowerOn, vm)
	got, err := act(i, actionConsole, vm)
	where, _ := got.(serialConsole)
	if err != nil || where.Websocket != "/plugin-apis/"+name+"/console/"+vm || where.Port != 1 {
		t.Fatalf("console: %+v, %v", got, err)
	}
	server := httptest.NewServer(i.Handler())
	defer server.Close()
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+where.Websocket, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer conn.Close()
	readUntil(t, conn, "login: ")
	if err := conn.WriteMessage(websocket.BinaryMessage, []byte("root\r")); err != nil {
		t.Fatal(err)
	}
	readUntil(t, conn, "root\r\n")
	mustAct(t, i, model.PowerOff, vm) // the guest's end is closed: so is the other
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	if !websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseAbnormalClosure) {
		t.Errorf("the console ended with %v", err)
	}
}

// readUntil reads messages until a text came.
func readUntil(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	for got := ""; !strings.Contains(got, text); {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got += string(raw)
	}
}

// Who leaves a console leaves nothing behind, and the next one gets it.
func TestConsoleIsLeft(t *testing.T) {
	t.Parallel()
	i, vm := serialVM(t)
	mustAct(t, i, model.PowerOn, vm)
	server := httptest.NewServer(i.Handler())
	defer server.Close()
	for range 2 {
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/plugin-apis/x/console/"+vm, nil)
		if err != nil {
			t.Fatal(err)
		}
		readUntil(t, conn, "login: ")
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		_ = resp.Body.Close() // it is the connection's
	}
}

// What is no console is said before anything becomes a websocket.
func TestNoConsole(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	_, err := act(i, actionConsole, vm)
	want(t, err, model.Unsupported, "--uartmode1 server")
	server := httptest.NewServer(i.Handler())
	defer server.Close()
	ask := func(path string, status int, says string) {
		t.Helper()
		resp, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body := make([]byte, 4096)
		n, _ := resp.Body.Read(body) // a short answer comes at once
		if resp.StatusCode != status || !strings.Contains(string(body[:n]), says) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body[:n])
		}
	}
	base := "/plugin-apis/" + name + consolePath
	ask(base+vm, 501, "no serial port")
	ask(base+"../../etc/passwd", 404, "")
	ask(base+"0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", 404, "no VM")
	ask("/plugin-apis/"+name+"/", 404, "")
	run(t, h, "modifyvm", vm, "--uart1", "0x3F8", "4", "--uartmode1", "server", "/etc/hostname")
	ask(base+vm, 409, "poweroff")
	if err := h.Force(vm, "running"); err != nil {
		t.Fatal(err)
	}
	ask(base+vm, 409, "no socket")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	for word, status := range map[string]string{"running": healthOK, "poweroff": healthOK, "gurumeditation": healthCritical, "aborted": healthWarning, "hesitating": healthWarning} {
		if err := h.Force(vm, word); err != nil {
			t.Fatal(err)
		}
		got, err := act(i, model.Status, vm)
		if s, _ := got.(health); err != nil || s.Status != status || s.Word != word || s.Version == "" || s.EthernetStatus != healthOK {
			t.Errorf("%s: %+v, %v", word, got, err)
		}
	}
}

// The doctor goes on where the checks before leave something to look at.
func TestDoctor(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	examine := func(more ...model.Params) *model.Checkup {
		t.Helper()
		got, err := act(i, model.Doctor, vm, more...)
		report, _ := got.(*model.Checkup)
		if err != nil || report == nil {
			t.Fatalf("%+v, %v", got, err)
		}
		return report
	}
	if c := examine(); c.Verdict != model.VerdictOK || len(c.Checks) != len(ladder) {
		t.Errorf("a VM that is well: %+v", c)
	}
	run(t, h, "modifyvm", vm, "--nic1", "hostonly", "--hostonlyadapter1", "vboxnet0", "--firmware", "efi")
	if err := h.Force(vm, "gurumeditation"); err != nil {
		t.Fatal(err)
	}
	c := examine()
	for _, check := range []string{"state", "session", "process", "networks", "boot order"} {
		if got := c.Check(check); got.Verdict != model.VerdictWarning || got.Cause == "" {
			t.Errorf("%s: %+v", check, got)
		}
	}
	if c := examine(model.Params{model.ParamIdentity: "00000000-0000-0000-0000-000000000001"}); c.Failed() == nil || c.Failed().Name != "identity" {
		t.Errorf("another machine: %+v", c)
	}
	if err := h.Break(vm, true); err != nil {
		t.Fatal(err)
	}
	if c := examine(); c.Check("VM").Verdict != model.VerdictFailed || c.Check("state").Verdict != model.VerdictSkipped || c.Check(rungService).Verdict != model.VerdictWarning {
		t.Errorf("an inaccessible VM: %+v", c)
	}
	lost := startPlugin(t, manage.Options{Command: "/nonexistent/VBoxManage"})
	got, err := act(lost, model.Doctor, vm)
	if c, _ := got.(*model.Checkup); err != nil || c == nil || c.Check(rungCommand).Verdict != model.VerdictFailed || c.Check(rungVM).Verdict != model.VerdictSkipped {
		t.Errorf("no VBoxManage: %+v, %v", got, err)
	}
}
