package metrics

import (
	"strings"
	"sync"
)

// Other stands for a label's value that is not kept apart.
const Other = "other"

// names bounds how many values a label has that comes from outside: the first
// that are seen are kept apart, the rest are Other.
type names struct {
	most int

	mu   sync.RWMutex // guards seen
	seen map[string]struct{}
}

// newNames keeps at most so many values apart.
func newNames(most int) *names { return &names{most: most, seen: map[string]struct{}{}} }

// of is the value that a label has for a name.
func (n *names) of(name string) string {
	name = strings.ToValidUTF8(name, "?") // a label must be
	n.mu.RLock()
	_, known := n.seen[name]
	full := len(n.seen) >= n.most
	n.mu.RUnlock()
	switch {
	case known:
		return name
	case full || len(name) > maxName:
		return Other
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.seen) >= n.most {
		return Other
	}
	n.seen[name] = struct{}{}
	return name
}

// maxName bounds the length of a label's value.
const maxName = 64

// valid makes a text from outside fit for a label's value.
func valid(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxName)], "") }
