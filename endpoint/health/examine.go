package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"provision-plugins/shared/model"
)

// Machine is where an endpoint is, or would be, on this machine.
type Machine struct {
	DataDir, PluginDir string
	Socket             string
	// Listen is the address of the https API.
	Listen string
	// Getenv is os.Getenv, Now time.Now.
	Getenv func(string) string
	Now    func() time.Time
}

// patience bounds each check that waits for somebody.
const patience = 5 * time.Second

// examination is a checkup that is under way.
type examination struct {
	Machine
	// owner is the user the data directory belongs to; -1 while it is not known.
	owner int
	// up tells that the endpoint answers on its socket.
	up bool
	// shown is the certificate that its port shows; nil: none was seen.
	shown *x509.Certificate
}

// checks are those of Examine, in the order in which they need one another.
var checks = [...]func(*examination, context.Context) model.Check{
	(*examination).dataDir,
	(*examination).masterKey,
	(*examination).process,
	(*examination).readiness,
	(*examination).port,
	(*examination).certificate,
	(*examination).disk,
	(*examination).clock,
	(*examination).pluginDir,
	(*examination).plugins,
}

// Examine checks all that an endpoint needs on this machine. It changes nothing,
// and works while the endpoint does not run too.
func Examine(ctx context.Context, m Machine) *model.Checkup {
	began := time.Now()
	e, out := &examination{Machine: m, owner: -1}, &model.Checkup{}
	for _, check := range checks {
		out.Add(check(e, ctx))
	}
	out.TookMs = time.Since(began).Milliseconds()
	return out
}

// good is a check that is well.
func good(name, found string) model.Check {
	return model.Check{Name: name, Verdict: model.VerdictOK, Found: found}
}

// bad is a check that failed.
func bad(name string, kind model.Kind, cause, mend string) model.Check {
	return model.Check{Name: name, Verdict: model.VerdictFailed, Kind: kind, Cause: cause, Mend: mend}
}

// doubtful is a check with something that may become a trouble.
func doubtful(name, found, cause, mend string) model.Check {
	return model.Check{Name: name, Verdict: model.VerdictWarning, Found: found, Cause: cause, Mend: mend}
}

// skipped is a check that could not be made.
func skipped(name, why string) model.Check {
	return model.Check{Name: name, Verdict: model.VerdictSkipped, Cause: why}
}

// plain is an error without the path, which the check names.
func plain(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

// ownerOf is the user a file belongs to.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// dataDir checks the directory of all that must survive.
func (e *examination) dataDir(context.Context) model.Check {
	const name = "data directory"
	info, err := os.Stat(e.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad(name, model.NotFound, e.DataDir+" is not there", "start the endpoint, which makes it, or name the right one with --data-dir")
	case err != nil:
		return bad(name, model.Forbidden, e.DataDir+": "+plain(err), "run this as the endpoint's user or as root")
	case !info.IsDir():
		return bad(name, model.Invalid, e.DataDir+" is no directory", "name the right one with --data-dir")
	}
	e.owner = ownerOf(info)
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return bad(name, model.Invalid, e.DataDir+" is open to others (mode "+mode.String()+")", "chmod 0700 "+e.DataDir)
	}
	if me := os.Geteuid(); me != 0 && me != e.owner {
		return bad(name, model.Forbidden, e.DataDir+" belongs to another user", "run this as the endpoint's user or as root")
	}
	entries, err := os.ReadDir(e.DataDir)
	if err != nil {
		return bad(name, model.Forbidden, e.DataDir+": "+plain(err), "run this as the endpoint's user or as root")
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && ownerOf(info) != e.owner {
			return bad(name, model.Invalid, filepath.Join(e.DataDir, entry.Name())+" belongs to another user: the endpoint cannot write it",
				"chown -R --reference="+e.DataDir+" "+e.DataDir)
		}
	}
	return good(name, e.DataDir)
}

// process checks that the endpoint answers on its socket.
func (e *examination) process(ctx context.Context) model.Check {
	const name = "endpoint"
	var up struct{ Status string }
	status, err := e.ask(ctx, "/healthz", &up)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return bad(name, model.Forbidden, "the socket "+e.Socket+" is not for this user", "run this as the endpoint's user or as root")
	case err != nil:
		return bad(name, model.Unreachable, "nothing answers on the socket "+e.Socket, "start it: systemctl start oob, or oob serve; its log says why it ended: journalctl -u oob")
	case status != 200:
		return bad(name, model.Internal, "what answers on the socket "+e.Socket+" is no endpoint", "name the right one with --socket")
	}
	e.up = true
	return good(name, "answers on "+e.Socket)
}

// readiness checks what the endpoint itself says.
func (e *examination) readiness(ctx context.Context) model.Check {
	const name = "ready"
	if !e.up {
		return skipped(name, "the endpoint does not answer")
	}
	var report Report
	if _, err := e.ask(ctx, "/readyz", &report); err != nil {
		return bad(name, model.Internal, "it does not say: "+err.Error(), "see its log: journalctl -u oob")
	}
	if report.Ready || len(report.Reasons) == 0 {
		return good(name, "it takes requests")
	}
	cause := ""
	for _, r := range report.Reasons {
		cause += "; " + r.Why
	}
	return bad(name, model.Busy, cause[2:], "see the checks below, and its log: journalctl -u oob")
}

// port checks that the API's port is served by the endpoint, or is free for it.
func (e *examination) port(ctx context.Context) model.Check {
	const name = "port"
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if e.up {
		return e.served(ctx)
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", e.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return bad(name, model.Conflict, e.Listen+" is taken by another program", "find it with: ss -tlnp; stop it, or choose another address with --listen")
	}
	if err != nil {
		return bad(name, model.Invalid, e.Listen+" cannot be listened on: "+err.Error(), "choose another address with --listen")
	}
	_ = l.Close() // it was free
	return good(name, e.Listen+" is free")
}

// served checks that the port speaks TLS, and notes its certificate. Nothing is sent:
// whether it is to be trusted is not asked here.
func (e *examination) served(ctx context.Context) model.Check {
	const name = "port"
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", reachable(e.Listen))
	if err != nil {
		return bad(name, model.Unreachable, "the endpoint's API is not on "+e.Listen, "name the address that it serves with --listen")
	}
	if secure, ok := conn.(*tls.Conn); ok {
		e.shown = secure.ConnectionState().PeerCertificates[0]
	}
	_ = conn.Close() // nothing was sent
	return good(name, e.Listen+" is served")
}

// reachable is an address to connect to for one that is listened on.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}
