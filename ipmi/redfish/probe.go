package redfish

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"provision-plugins/shared/model"
)

// Probe asks whether a target speaks Redfish and shows a certificate that is
// trusted. It sends no credential.
func (p *Pool) Probe(ctx context.Context, t *Target) error {
	w := newWire(t, p.opts.Roots)
	defer w.close()
	client := &http.Client{Transport: w, CheckRedirect: w.redirect}
	req, err := http.NewRequestWithContext(context.WithValue(ctx, freshKey{}, true), http.MethodGet, w.endpoint()+rootPath, nil)
	if err != nil {
		return model.Errorf(model.Invalid, "BMC %s: cannot ask for Redfish: %w", t.Peer, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return explain(t.Peer, err, false)
	}
	defer res.Body.Close()
	var root struct{ RedfishVersion string }
	raw, err := io.ReadAll(res.Body) // bounded by wire
	if err == nil {
		err = json.Unmarshal(raw, &root)
	}
	if err != nil || root.RedfishVersion == "" {
		return model.Errorf(model.Unsupported, "BMC %s: %w", t.Peer, fmt.Errorf("%w: no service root", errBody))
	}
	return nil
}
