package plugin

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// Proxy passes requests below /plugin-apis/ on to the plugin, websockets
// included, on behalf of a principal whom the caller has authenticated and
// authorised. The caller's credentials are taken off; in their place headers
// signed with the process's key tell the plugin who it is. Method, path, the
// rest of the query and Host stay as they are.
func (p *Process) Proxy(as Principal) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			out := pr.Out
			out.URL.Scheme, out.URL.Host = "http", "plugin"
			out.URL.RawQuery = withoutToken(pr.In.URL.RawQuery)
			out.Host = cmp.Or(pr.In.Host, "plugin")
			out.Header.Del("Authorization")
			out.Header.Del("Proxy-Authorization")
			dropSigned(out.Header)
			pr.SetXForwarded()
			sign(p.key, out, as, time.Now())
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return client.DialUnix(ctx, p.socket)
			},
			// No request is sent again by itself: each has a connection of its own.
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			writeError(w, model.AsError(p.unreachable("ask", err)))
		},
		ErrorLog: slog.NewLogLogger(p.options.Logger.Handler(), slog.LevelDebug),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := p.sendable(); err != nil {
			writeError(w, model.AsError(p.unreachable("ask", err)))
			return
		}
		proxy.ServeHTTP(w, r)
	})
}
