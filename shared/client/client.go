// Package client is the typed client of an endpoint's REST API and of its
// event stream. It speaks to a v4 endpoint over TLS with a bearer token, or
// over the local unix socket, and is small enough to be linked into every
// plugin.
//
// Every error it returns is a *model.Error: the one the endpoint answered, or
// one of kind unreachable when no request reached the endpoint, or one of kind
// unknown-outcome when a changing request was written and its reply was lost.
package client

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// APIPath is where an endpoint serves its API.
const APIPath = "/api/v3/"

const (
	dialTimeout = 10 * time.Second
	// idleConns is how many connections are kept for a caller that fans out.
	idleConns = 128
	// idleTimeout is shorter than the idle timeout of common servers, so that a
	// request is rarely written into a connection the server is closing.
	idleTimeout = 30 * time.Second
)

// Options say which endpoint to speak to and how to know it.
type Options struct {
	// Endpoint is the https URL of the endpoint; ignored when Socket is set.
	// Plain http is taken for a loopback host only.
	Endpoint string
	// Socket is the path of the endpoint's unix socket.
	Socket string
	// Token is sent as bearer token; none is sent when it is empty.
	Token string
	// CAFile is a PEM file of the authorities to trust instead of the system's.
	CAFile string
	// Fingerprint is the SHA-256 of the endpoint's certificate in hex, with or
	// without colons. It replaces every other verification.
	Fingerprint string
	// Logger takes debug lines about retries; nil means none.
	Logger *slog.Logger
}

// Client speaks to one endpoint. Its methods may be called from many
// goroutines at once.
type Client struct {
	base      *url.URL // of the API, ends with a slash
	where     string   // for messages
	token     string
	person    string // for whom is asked; "" for the token's own
	tls       *tls.Config
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	http      *http.Client
	transport *http.Transport
	logger    *slog.Logger
}

// New makes a client. Nothing is dialled before the first request.
func New(o Options) (*Client, error) {
	c := &Client{token: o.Token, logger: o.Logger}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	c.dial = dialer.DialContext
	if o.Socket != "" {
		c.where = o.Socket
		c.base = &url.URL{Scheme: "http", Host: "unix", Path: APIPath}
		c.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return DialUnix(ctx, o.Socket)
		}
	} else if err := c.setEndpoint(o); err != nil {
		return nil, err
	}
	c.transport = &http.Transport{
		DialContext:         c.dial,
		TLSClientConfig:     c.tls,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     idleTimeout,
	}
	if o.Socket == "" {
		c.transport.Proxy = http.ProxyFromEnvironment
	}
	c.http = &http.Client{Transport: c.transport, CheckRedirect: noRedirect}
	return c, nil
}

// setEndpoint sets the base URL and its verification.
func (c *Client) setEndpoint(o Options) error {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return model.Errorf(model.Invalid, "endpoint %q is not a URL like https://HOST:8092", o.Endpoint)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return model.Errorf(model.Invalid, "endpoint https://%s: only scheme, host, port and path are taken", u.Host)
	}
	local := loopback(u.Hostname())
	if u.Scheme == "http" && !local {
		return model.Errorf(model.Invalid, "endpoint %s: plain http is taken for a loopback host only", o.Endpoint)
	}
	c.where = u.Scheme + "://" + u.Host
	c.base = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/") + APIPath}
	c.tls, err = tlsConfig(o, local)
	return err
}

// noRedirect refuses redirects: an API does not redirect, and a token must not
// follow one.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// For is a client that asks in the name of a person, by the id that the person
// has where the plugin hears of it. An admin must have let the plugin do so. It
// shares the connections, and is not closed by itself.
func (c *Client) For(person string) *Client {
	other := *c
	other.person = person
	return &other
}

// Where names the endpoint for messages: its URL, or the path of its socket.
func (c *Client) Where() string { return c.where }

// Close closes idle connections. Requests in flight are not cut.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// Path joins path segments, each escaped, for use with Get and its kin.
func Path(segments ...string) string {
	escaped := make([]string, len(segments))
	for i, s := range segments {
		escaped[i] = url.PathEscape(s)
	}
	return strings.Join(escaped, "/")
}
