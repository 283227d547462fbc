package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"provision-plugins/endpoint/certificate"
	"provision-plugins/endpoint/silent"
	"provision-plugins/shared/model"
)

// openAPI opens both listeners and serves on them.
func (e *Endpoint) openAPI(ctx context.Context) error {
	cert, err := certificate.Open(certificate.Options{
		Dir: e.opts.DataDir, Listen: e.opts.Listen, Cert: e.opts.TLSCert, Key: e.opts.TLSKey, Now: e.now, Logger: e.log.With("part", "certificate"),
	})
	if err != nil {
		return err
	}
	open, err := listenTCP(ctx, e.opts.Listen)
	if err != nil {
		return err
	}
	e.addr = open.Addr().String()
	local, err := listenSocket(ctx, e.opts.Socket)
	if err != nil {
		return errors.Join(err, open.Close())
	}
	e.api.register()
	ending, end := context.WithCancel(context.Background())
	e.api.ending = ending
	secure := tls.NewListener(watchedListener{open}, &tls.Config{
		GetCertificate: cert.Get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	})
	servers := []*http.Server{e.api.server(unknownPeer), e.api.server(socketPeer)}
	servers[0].ConnState = silent.New(maxSilent).Note
	for i, l := range []net.Listener{secure, watchedListener{local}} {
		go e.serve(servers[i], l)
	}
	e.down.push("the API", 2*stopQuick, func(ctx context.Context) error {
		e.hub.Close() // ends the event streams
		end()
		var errs []error
		for _, s := range servers {
			errs = append(errs, shutdown(ctx, s))
		}
		e.api.streams.Wait()
		return errors.Join(errs...)
	})
	return nil
}

// serve serves one listener until it is shut down.
func (e *Endpoint) serve(s *http.Server, l net.Listener) {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		e.log.Error("the API has stopped", "listen", l.Addr().String(), "error", err)
	}
}

// shutdown lets the last replies out, and then closes what is left.
func shutdown(ctx context.Context, s *http.Server) error {
	bounded, cancel := context.WithTimeout(ctx, stopQuick/2)
	defer cancel()
	if err := s.Shutdown(bounded); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return s.Close()
}

// listenTCP opens the https API's port.
func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err == nil {
		return l, nil
	}
	why := err
	var op *net.OpError
	if errors.As(err, &op) {
		why = op.Err
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, model.Errorf(model.Conflict, "cannot listen on %s: the port is taken; stop the program that has it or choose another address with --listen", addr)
	}
	return nil, model.Errorf(model.Invalid, "cannot listen on %s: %w; choose another address with --listen", addr, why)
}

// listenSocket opens the unix socket, in place of one that an earlier process
// left. The data directory is held by now, but the socket may be elsewhere: one
// that somebody serves is left alone.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	dialer := net.Dialer{Timeout: time.Second}
	if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
		return nil, errors.Join(
			model.Errorf(model.Conflict, "cannot listen on socket %s: another endpoint serves it; choose another with --socket", path),
			conn.Close())
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, model.Errorf(model.Conflict, "cannot listen on socket %s: a file that is no socket is there", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, model.Errorf(model.Invalid, "cannot replace socket %s: %w", path, cause(err))
		}
	}
	l, err := listenPrivate(ctx, path)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot listen on socket %s: %w; choose another with --socket", path, err)
	}
	return l, nil
}

// listenPrivate listens on a socket of mode 0600.
func listenPrivate(ctx context.Context, path string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	// Until the mode is set the peer's uid keeps others out.
	if err := os.Chmod(path, privateFile); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
