package vbox

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
)

// Version is the version of VirtualBox.
type Version struct {
	Major, Minor, Patch int
	// Text is all of it, such as "7.2.22_Debianr175245".
	Text string
}

// AtLeast reports whether it is major.minor or later.
func (v *Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// versionLine is the line with the version; others are warnings.
var versionLine = regexp.MustCompile(`(?m)^((\d{1,4})\.(\d{1,4})\.(\d{1,4})[0-9A-Za-z_.~+-]*)\r?$`)

// ParseVersion reads what --version printed.
func ParseVersion(out []byte) (*Version, error) {
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return nil, fmt.Errorf("cannot read the version in %q", oneLine(lastLine(string(out))))
	}
	v := &Version{Text: string(m[1])}
	for i, n := range []*int{&v.Major, &v.Minor, &v.Patch} {
		number, err := strconv.Atoi(string(m[i+2]))
		if err != nil {
			return nil, fmt.Errorf("cannot read the version %s: %w", m[1], err)
		}
		*n = number
	}
	return v, nil
}

// Version reads the version, once: a later call returns what the first read.
func (m *Manager) Version(ctx context.Context) (*Version, error) {
	m.mu.Lock()
	v := m.version
	m.mu.Unlock()
	if v != nil {
		return v, nil
	}
	out, err := m.Run(ctx, "--version")
	if err != nil {
		return nil, err
	}
	v, err = ParseVersion(out)
	if err != nil {
		return nil, &Error{Command: "--version", Class: Garbled, Text: err.Error(), cause: err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version == nil {
		m.version = v
		m.opts.Logger.Info("VirtualBox", "version", v.Text, "warning", warning(out))
	}
	return m.version, nil
}

// warning is the first line of the warning that a distribution's wrapper prints
// before everything else, "" if there is none.
func warning(out []byte) string {
	if !bytes.HasPrefix(out, []byte("WARNING: ")) {
		return ""
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return oneLine(string(line))
}
