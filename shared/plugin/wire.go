package plugin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// The paths a plugin serves.
const (
	pathConfig  = "/api-plugin/v4/config"
	pathStop    = "/api-plugin/v4/stop"
	pathAction  = "/api-plugin/v4/action"
	pathPublish = "/api-plugin/v4/publish"
	// pathCounts is not of the reference: only hosts that see model.MetaCounts in
	// the definition ask for it.
	pathCounts = "/api-plugin/v4/counts"
)

// The paths a host serves. The reference's package comment names another
// prefix; this is the one its code uses.
const (
	pathHost    = "/api-server-plugin/v4/"
	pathLog     = pathHost + "log"
	pathEvent   = pathHost + "publish"
	pathLeaving = pathHost + "leaving"
	pathObjects = pathHost + "objects/"
)

// The headers that steer the log of one request.
const (
	headerLogLevel = "X-Log-Request"
	headerLogToken = "X-Log-Token"
)

// LogTokenPrefix begins the line by which a plugin tells the token of a request;
// the lines of its group belong to it.
const LogTokenPrefix = "Log token: "

// The environment of a plugin process.
const (
	// EnvEndpoint is the URL of the endpoint's API.
	EnvEndpoint = "RS_ENDPOINT"
	// EnvToken is the token for it.
	EnvToken = "RS_TOKEN"
	// EnvLocalProxy is the path of a unix socket that serves the API.
	EnvLocalProxy = "RS_LOCAL_PROXY"
	// EnvLifeline is a file descriptor that reads end of file when the host dies.
	EnvLifeline = "OOB_LIFELINE"
	// EnvPrincipalKey is a file descriptor from which to read the key by which the
	// host signs for principals.
	EnvPrincipalKey = "OOB_PRINCIPAL_KEY"
	// EnvStateDir is a directory for durable state.
	EnvStateDir = "OOB_STATE_DIR"
	// headerTimeout bounds how long the head of a request may take on both sockets,
	// and how long a new connection may be silent.
	headerTimeout = 2 * time.Second
	// EnvLog is the level of the log where --log does not say it.
	EnvLog = "OOB_LOG"
)

const (
	// readyLine is printed once the plugin listens.
	readyLine = "READY!"
	// maxHeader bounds the header of a request or answer.
	maxHeader = 64 << 10
	// maxSocketPath is the longest path of a unix socket (sockaddr_un has 108
	// bytes, the last of them zero).
	maxSocketPath = 107
	// defaultEndpoint is where an endpoint listens when nobody says otherwise.
	defaultEndpoint = "https://127.0.0.1:8092"
	// catalogToken is the token with which the reference's catalog builder runs
	// define: there is no endpoint to ask.
	catalogToken = "catalog"
	// nameParam is the key under which config carries the plugin object's name.
	nameParam = "Name"
)

// okReply is the answer of a config, publish or stop that went well.
func okReply() *model.Error { return &model.Error{Code: http.StatusOK} }

// writeReply writes v as the answer.
func writeReply(w http.ResponseWriter, status int, v any) int {
	var buf bytes.Buffer
	if err := model.Encode(&buf, v); err != nil {
		// What cannot be encoded is a defect of the plugin's own result.
		buf.Reset()
		e := model.Errorf(model.Internal, "cannot encode the answer: %w", err)
		status = e.Code
		_ = model.Encode(&buf, e) // an Error is strings and numbers: it encodes
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // the caller is gone; there is nobody to tell
	return status
}

// writeError writes e with its own status.
func writeError(w http.ResponseWriter, e *model.Error) int {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(retrySeconds(e), 10))
	}
	return writeReply(w, e.Code, e)
}

// retrySeconds is when to try again, in whole seconds.
func retrySeconds(e *model.Error) int64 {
	return int64((max(e.RetryAfter, 0) + time.Second - 1) / time.Second)
}

// validStatus gives an error whose Code is no HTTP error status (client-side
// errors of the reference have 0) the status of its kind.
func validStatus(e *model.Error) *model.Error {
	if e.Code >= 400 && e.Code <= 599 {
		return e
	}
	fixed := *e
	fixed.Code = e.Kind().Info().Status
	return &fixed
}

// nested wraps an error as the reference answers config and publish errors: the
// JSON text of the error is the only message of another one.
func nested(e *model.Error) *model.Error {
	raw, err := model.Marshal(e)
	if err != nil {
		raw = []byte(strconv.Quote(e.Text()))
	}
	return &model.Error{Messages: []string{string(raw)}, Code: e.Code}
}

// unnested undoes nested. An error that is not nested is returned as it is.
func unnested(e *model.Error) *model.Error {
	if len(e.Messages) != 1 || !strings.HasPrefix(e.Messages[0], "{") {
		return e
	}
	inner := &model.Error{}
	if json.Unmarshal([]byte(e.Messages[0]), inner) != nil || inner.Code == 0 && len(inner.Messages) == 0 {
		return e
	}
	return inner
}

// oneLine makes text of unknown origin fit into one line of an error: control
// characters become spaces, and what is longer than limit bytes is cut.
func oneLine(text string, limit int) string {
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	return cut(text, limit)
}

// cut shortens text to at most limit bytes and three dots.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}
