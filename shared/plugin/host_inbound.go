package plugin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"provision-plugins/shared/model"
)

// inbound is the host side of the socket on which a plugin speaks of its own
// accord.
type inbound struct {
	handler HostHandler
	logger  *slog.Logger
}

// server serves it. There is no idle timeout, for the same reason as in the
// plugin, only one for the head of a request that has begun.
func (in *inbound) server() *http.Server {
	return &http.Server{
		Handler:           in,
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(in.logger.Handler(), slog.LevelWarn),
	}
}

// ServeHTTP answers one request.
func (in *inbound) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost && r.URL.Path == pathLog:
		receive(w, r, in.handler.Log)
	case r.Method == http.MethodPost && r.URL.Path == pathEvent:
		receive(w, r, in.handler.Publish)
	case r.Method == http.MethodPost && r.URL.Path == pathLeaving:
		receive(w, r, in.leaving)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, pathObjects):
		in.objects(w, r, strings.TrimPrefix(r.URL.Path, pathObjects))
	default:
		writeError(w, &model.Error{Key: r.URL.Path, Type: r.Method, Code: http.StatusNotFound})
	}
}

// receive decodes the body and hands it on. The answer is empty, as the real
// host's.
func receive[T any](w http.ResponseWriter, r *http.Request, take func(*T)) {
	v := new(T)
	if err := model.DecodeClear(r.Body, model.MaxBody, v); err != nil {
		writeError(w, model.AsError(err))
		return
	}
	take(v)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
}

// leaving notes that the plugin is about to end.
func (in *inbound) leaving(reason *model.Error) {
	in.logger.Warn("plugin is leaving", "reason", oneLine(reason.Text(), 300))
	if h, ok := in.handler.(LeavingHandler); ok {
		h.Leaving(reason)
	}
}

// objects lists the objects of a prefix.
func (in *inbound) objects(w http.ResponseWriter, r *http.Request, prefix string) {
	lister, ok := in.handler.(ObjectLister)
	if !ok {
		writeError(w, model.Errorf(model.Unsupported, "cannot list %s: this host lists no objects", prefix))
		return
	}
	list, err := lister.Objects(r.Context(), prefix)
	if err != nil {
		writeError(w, validStatus(model.AsError(err)))
		return
	}
	if list == nil {
		list = []json.RawMessage{}
	}
	writeReply(w, http.StatusOK, list)
}

// serveInbound serves until the server is closed; the channel is closed then.
func serveInbound(hs *http.Server, l net.Listener) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = hs.Serve(l) // always ErrServerClosed: only Close ends it
	}()
	return done
}

// quietHandler stands in where a host has none.
type quietHandler struct{ logger *slog.Logger }

// Log puts the line into the host's own log.
func (q quietHandler) Log(line *model.Line) {
	level, _ := levelOf(line.Level)
	q.logger.Log(context.Background(), level, oneLine(line.Message, 4096), "service", line.Service)
}

// Publish drops the event.
func (quietHandler) Publish(*model.Event) {}
