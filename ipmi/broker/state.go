package broker

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"provision-plugins/ipmi/rmcp"
)

// The files in the state directory. The key of the hashes stands apart, so that
// the other can be shown around.
const (
	stateName = "refused-logins.json"
	keyName   = "refused-logins.key"
)

// The bounds of what is read back.
const (
	stateVersion = 1
	maxState     = 8 << 20
	maxCount     = 1 << 20 // refusals in a row
	maxReason    = 200
)

// stateFile is the form of the file.
type stateFile struct {
	Version int           `json:"version"`
	Refused []refusedForm `json:"refused"`
}

// refusedForm is one login that a BMC refused.
type refusedForm struct {
	BMC        netip.AddrPort `json:"bmc"`
	Credential string         `json:"credential"` // a keyed hash
	Count      int            `json:"count"`
	At         time.Time      `json:"at"`
	Reason     rmcp.Reason    `json:"reason"`
}

// encodeState is the content of the file.
func encodeState(m map[refusalKey]refusals) []byte {
	f := stateFile{Version: stateVersion, Refused: make([]refusedForm, 0, len(m))}
	for k, r := range m {
		f.Refused = append(f.Refused, refusedForm{k.peer, hex.EncodeToString(k.credential[:]), r.count, r.at.UTC(), r.reason})
	}
	slices.SortFunc(f.Refused, func(a, b refusedForm) int {
		return cmp.Or(a.BMC.Compare(b.BMC), cmp.Compare(a.Credential, b.Credential))
	})
	// Addresses, numbers and times of this century: it cannot fail.
	raw, _ := json.MarshalIndent(f, "", " ")
	return append(raw, '\n')
}

// parseState reads the content of a file; all of it or nothing.
func parseState(raw []byte) (map[refusalKey]refusals, error) {
	var f stateFile
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	if f.Version != stateVersion {
		return nil, fmt.Errorf("version %d is not %d", f.Version, stateVersion)
	}
	if len(f.Refused) > maxRefused {
		return nil, fmt.Errorf("%d entries are more than %d", len(f.Refused), maxRefused)
	}
	m := make(map[refusalKey]refusals, len(f.Refused))
	for i, r := range f.Refused {
		k := refusalKey{peer: r.BMC}
		hash, err := hex.DecodeString(r.Credential)
		switch {
		case err != nil || copy(k.credential[:], hash) != len(k.credential) || len(hash) != len(k.credential):
			return nil, fmt.Errorf("entry %d: the credential is not a hash", i)
		case !r.BMC.IsValid(), r.Count < 1, r.Count > maxCount, len(r.Reason) > maxReason, r.At.Year() < 1970, r.At.Year() > 9998:
			return nil, fmt.Errorf("entry %d has a value out of range", i)
		}
		m[k] = refusals{count: r.Count, at: r.At, reason: r.Reason}
	}
	return m, nil
}

// readState reads the file in dir; nil if there is none. One that cannot be
// understood is worth a warning, and is overwritten in time.
func readState(dir string, log *slog.Logger) map[refusalKey]refusals {
	path := filepath.Join(dir, stateName)
	raw, err := readBounded(path, maxState)
	var m map[refusalKey]refusals
	if err == nil {
		m, err = parseState(raw)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("ignoring the file of refused logins: a login that was refused may be tried once more", "file", path, "error", err)
	}
	return m
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("it is longer than %d bytes", limit)
	}
	return raw, err
}
