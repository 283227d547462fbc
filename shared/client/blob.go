package client

import (
	"context"
	"errors"
	"io"
	"net/http"

	"provision-plugins/shared/model"
)

// maxBlob bounds what is sent in one piece: a plugin binary.
const maxBlob = 256 << 20

// Upload posts bytes that are not JSON, such as a plugin binary, to a path, once.
// It takes as long as ctx allows.
func (c *Client) Upload(ctx context.Context, path string, blob []byte, out any) error {
	if len(blob) > maxBlob {
		return model.Errorf(model.Invalid, "cannot upload to %s: larger than %d MiB", path, maxBlob>>20)
	}
	_, err := c.call(ctx, &request{method: http.MethodPost, path: path, body: blob, content: "application/octet-stream"}, out)
	return err
}

// Download copies what is at a path to w as it comes, whatever it is, such as a
// plugin binary or a log that goes on. It takes as long as ctx allows.
func (c *Client) Download(ctx context.Context, path string, w io.Writer) error {
	r := &request{method: http.MethodGet, path: path, read: true}
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "*/*")
	resp, err := c.http.Do(req)
	if err != nil {
		return c.lost(ctx, r, false, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices {
		return c.refusal(r, resp)
	}
	sink := &sink{w: w}
	if _, err := io.Copy(sink, resp.Body); err != nil {
		if sink.err != nil {
			return model.Errorf(model.Internal, "cannot write what %s is: %w", path, sink.err)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) || ctx.Err() == nil {
			return model.Errorf(model.Unreachable, "endpoint %s broke off its answer to GET %s: %w", c.where, path, bare(err))
		}
		return c.lost(ctx, r, true, err)
	}
	return nil
}

// sink remembers that it was writing that failed, not reading.
type sink struct {
	w   io.Writer
	err error
}

// Write writes on.
func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}
