package redfish

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Fleet is a number of BMCs that listen until Close.
type Fleet struct {
	opts    Options
	dialect *dialect
	store   *store
	issuer  *issuer
	bmcs    []BMC
	byAddr  map[netip.AddrPort]*BMC // read only once New has returned
	server  *http.Server
	wg      sync.WaitGroup // the goroutine of each listener
	conns   sync.WaitGroup // connections that are served; only listeners add to it
	done    chan struct{}  // closed by Close; ends what takes long

	closeOnce sync.Once
	closeErr  error
}

// New builds the fleet o describes. It is listening when New returns.
func New(o Options) (*Fleet, error) {
	o = o.withDefaults()
	f, err := build(o)
	if err != nil {
		return nil, fmt.Errorf("cannot simulate Redfish: %w", err)
	}
	return f, nil
}

// build makes a fleet of options that are filled in.
func build(o Options) (*Fleet, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	d := dialectNamed(o.Dialect)
	st, err := newStore(d)
	if err != nil {
		return nil, err
	}
	issuer, err := newIssuer(o.Clock)
	if err != nil {
		return nil, err
	}
	listeners, addrs, err := listen(o)
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		opts: o, dialect: d, store: st, issuer: issuer, done: make(chan struct{}),
		bmcs: make([]BMC, len(addrs)), byAddr: make(map[netip.AddrPort]*BMC, len(addrs)),
	}
	for i, a := range addrs {
		b := &f.bmcs[i]
		b.init(f, i, a)
		f.byAddr[a] = b
	}
	f.serve(listeners)
	return f, nil
}

// serve starts the server on all listeners.
func (f *Fleet) serve(listeners []net.Listener) {
	f.server = &http.Server{
		Handler:           http.HandlerFunc(f.handle),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // of clients that break off
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, bmcKey{}, f.at(c))
		},
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				f.conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				f.conns.Done()
			}
		},
	}
	conf := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // a resumed session would not show a changed certificate
		GetCertificate:         f.certificate,
	}
	for _, l := range listeners {
		f.wg.Go(func() {
			_ = f.server.Serve(tls.NewListener(l, conf)) // ends by Close, with ErrServerClosed
		})
	}
}

// bmcKey is the key of the BMC in the context of a connection.
type bmcKey struct{}

// at finds the BMC a connection was made to; nil if there is none at that address.
func (f *Fleet) at(c net.Conn) *BMC { return f.byAddr[addrOf(c.LocalAddr())] }

// errNobody is what a connection to an address without a BMC ends with.
var errNobody = errors.New("no BMC is there")

// certificate chooses the certificate of a connection.
func (f *Fleet) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	b := f.at(hello.Conn)
	if b == nil || b.away() {
		_ = hello.Conn.Close() // in place of an alert, which would be an answer
		return nil, errNobody
	}
	return b.tlsCertificate()
}

// Len returns the number of BMCs.
func (f *Fleet) Len() int { return len(f.bmcs) }

// BMC returns the i-th BMC, counted from 0. There must be one.
func (f *Fleet) BMC(i int) *BMC { return &f.bmcs[i] }

// Authority returns the certificate of the authority that has issued those of all
// BMCs.
func (f *Fleet) Authority() *x509.Certificate { return f.issuer.cert }

// Roots returns the authority that has issued the certificates of all BMCs, for
// clients that verify.
func (f *Fleet) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(f.Authority())
	return pool
}

// Close ends all BMCs. When it returns nothing of the fleet runs any more. A
// second call does nothing.
func (f *Fleet) Close() error {
	f.closeOnce.Do(func() {
		close(f.done)
		f.closeErr = f.server.Close()
		f.wg.Wait()
		f.conns.Wait()
	})
	return f.closeErr
}
