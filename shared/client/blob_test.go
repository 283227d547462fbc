package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

func TestUpload(t *testing.T) {
	blob := bytes.Repeat([]byte{0, 1, 0xff, '\n'}, 100_000)
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(raw, blob) || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/octet-stream" {
			answer(400, `{"Messages":["not what was uploaded"]}`)(w, r)
			return
		}
		answer(201, `{"path":"toy","size":400000}`)(w, r)
	}))
	var out struct {
		Path string
		Size int
	}
	if err := c.Upload(t.Context(), "plugin_providers/toy", blob, &out); err != nil || out.Path != "toy" || out.Size != len(blob) {
		t.Errorf("got %+v, %v", out, err)
	}
	if err := c.Upload(t.Context(), "x", make([]byte, maxBlob+1), nil); model.KindOf(err) != model.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestDownload(t *testing.T) {
	c := onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v3/log":
			for _, line := range []string{"one\n", "two\n"} {
				_, _ = io.WriteString(w, line)
				_ = http.NewResponseController(w).Flush()
			}
		case "/api/v3/broken":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		case "/api/v3/endless":
			_, _ = io.WriteString(w, "begun\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			answer(404, `{"Type":"GET","Messages":["Not Found"]}`)(w, r)
		}
	}))
	var got strings.Builder
	if err := c.Download(t.Context(), "log", &got); err != nil || got.String() != "one\ntwo\n" {
		t.Errorf("got %q, %v", got.String(), err)
	}
	if err := c.Download(t.Context(), "nothing", io.Discard); model.KindOf(err) != model.NotFound {
		t.Errorf("got %v", err)
	}
	if err := c.Download(t.Context(), "broken", io.Discard); model.KindOf(err) != model.Unreachable || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("got %v", err)
	}
	if err := c.Download(t.Context(), "log", full{}); !errors.Is(err, io.ErrShortWrite) || model.KindOf(err) != model.Internal {
		t.Errorf("got %v", err)
	}
	if err := c.Download(t.Context(), "http://elsewhere/", io.Discard); model.KindOf(err) != model.Invalid {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	// The caller goes away once something came.
	if err := c.Download(ctx, "endless", writerFunc(func(p []byte) { cancel() })); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// full is a writer without room.
type full struct{}

// Write fails.
func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// writerFunc is a function that takes what is written.
type writerFunc func(p []byte)

// Write calls the function.
func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
