package endpoint

import (
	"strings"

	"github.com/blang/semver/v4"

	"provision-plugins/shared/model"
)

// maxVersion bounds a version or a range of versions in bytes.
const maxVersion = 256

// parseVersion reads a version of content, with or without a v before it.
// Missing parts are zero.
func parseVersion(text string) (semver.Version, error) {
	if len(text) > maxVersion {
		return semver.Version{}, model.Errorf(model.Invalid, "invalid version %.20s...: longer than %d bytes", text, maxVersion)
	}
	v, err := semver.ParseTolerant(text)
	if err != nil {
		return v, model.Errorf(model.Invalid, "invalid version %s: %w", text, err)
	}
	return v, nil
}

// parseRange reads a range of versions. An empty one takes every version.
func parseRange(text string) (semver.Range, error) {
	if len(text) > maxVersion {
		return nil, model.Errorf(model.Invalid, "invalid range %.20s...: longer than %d bytes", text, maxVersion)
	}
	if strings.TrimSpace(text) == "" {
		return func(semver.Version) bool { return true }, nil
	}
	var out semver.Range
	// The library passes over a word of one letter, and of an alternative of none
	// it makes a range that panics.
	for _, word := range strings.Fields(text) {
		if len(word) == 1 && !strings.Contains("<>=", word) {
			return nil, model.Errorf(model.Invalid, "invalid range %q: %q is no version of three parts; want such as \">=1.2.0 <2.0.0 || 3.x\"", text, word)
		}
	}
	for alternative := range strings.SplitSeq(text, "||") {
		next, err := semver.ParseRange(alternative)
		if err != nil {
			return nil, model.Errorf(model.Invalid, "invalid range %q: %w", text, err)
		}
		if next == nil {
			return nil, model.Errorf(model.Invalid, "invalid range %q: nothing stands beside ||", text)
		}
		if out == nil {
			out = next
			continue
		}
		out = out.OR(next)
	}
	return out, nil
}
