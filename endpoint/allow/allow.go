// Package allow holds back programs that nobody has approved: where there is a list
// of SHA-256 sums, what has another sum is not run.
package allow

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"provision-plugins/shared/model"
)

// maxList bounds the file of a list.
const maxList = 1 << 20

// Sum is the SHA-256 of a program.
type Sum [sha256.Size]byte

// List is a file of sums, as sha256sum writes it. It is read again whenever it has
// changed. A nil List allows everything.
type List struct {
	path string
	// trusted refuses a list that somebody else could change.
	trusted func(path string) error

	mu    sync.Mutex // guards all below
	at    version
	sums  map[Sum]bool
	known map[string]summed // of programs, by path
}

// version is a file as it was, or nothing; two of them tell whether it has changed.
type version struct{ fs.FileInfo }

// summed is the sum of a program as it was.
type summed struct {
	at  version
	sum Sum
}

// Open makes the list of a file; none where it has no name. Trusted refuses a path
// that somebody else could change.
func Open(path string, trusted func(path string) error) *List {
	if path == "" {
		return nil
	}
	return &List{path: path, trusted: trusted, known: map[string]summed{}}
}

// Check refuses a program that is not on the list, and every one while the list
// cannot be read.
func (l *List) Check(path string) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(); err != nil {
		return err
	}
	sum, err := l.sumOf(path)
	if err != nil {
		return model.Errorf(model.Internal, "cannot read %s: %w", path, err)
	}
	if !l.sums[sum] {
		return model.Errorf(model.Forbidden, "the SHA-256 %x is not in %s: see where the program is from, then add the sum there", sum, l.path)
	}
	return nil
}

// refresh reads the list if it has changed; the caller holds the lock.
func (l *List) refresh() error {
	now, err := versionOf(l.path)
	if err == nil {
		err = l.trusted(l.path)
	}
	if err != nil {
		l.at = version{}
		return model.Errorf(model.Invalid, "cannot use the list of allowed programs: %w", err)
	}
	if now.same(l.at) {
		return nil
	}
	l.at = version{}
	raw, err := readSome(l.path)
	if err != nil {
		return model.Errorf(model.Invalid, "cannot use the list of allowed programs: %w", err)
	}
	if l.sums, err = Parse(raw); err != nil {
		return model.Errorf(model.Invalid, "cannot use %s: %w", l.path, err)
	}
	l.at = now
	return nil
}

// readSome reads a file, and a byte more than is allowed.
func readSome(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxList+1))
}

// Parse reads lines of sums in hex, each with what follows it, such as the name of a
// file. Lines that are empty or begin with # are passed over.
func Parse(raw []byte) (map[Sum]bool, error) {
	if len(raw) > maxList {
		return nil, model.Errorf(model.Invalid, "it is larger than %d bytes", maxList)
	}
	sums := map[Sum]bool{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, maxList+1)
	for n := 1; lines.Scan(); n++ {
		word, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		if word == "" || strings.HasPrefix(word, "#") {
			continue
		}
		// sha256sum marks a line whose name holds a character that it escapes.
		digits, err := hex.DecodeString(strings.TrimPrefix(word, `\`))
		if err != nil || len(digits) != sha256.Size {
			return nil, model.Errorf(model.Invalid, "line %d does not begin with a SHA-256 in hex, as sha256sum writes it", n)
		}
		sums[Sum(digits)] = true
	}
	return sums, lines.Err()
}

// sumOf is the sum of a program, read anew if the program has changed; the caller
// holds the lock.
func (l *List) sumOf(path string) (Sum, error) {
	now, err := versionOf(path)
	if err != nil {
		return Sum{}, err
	}
	if was, ok := l.known[path]; ok && now.same(was.at) {
		return was.sum, nil
	}
	delete(l.known, path)
	f, err := os.Open(path)
	if err != nil {
		return Sum{}, err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return Sum{}, err
	}
	sum := Sum(hash.Sum(nil))
	if then, err := versionOf(path); err == nil && then.same(now) { // else it was changed meanwhile
		l.known[path] = summed{now, sum}
	}
	return sum, nil
}

// Forget lets go of what is known of programs that are gone.
func (l *List) Forget(path string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, path)
}

// versionOf looks at a file.
func versionOf(path string) (version, error) {
	info, err := os.Stat(path)
	if err != nil {
		return version{}, err
	}
	return version{info}, nil
}

// same reports whether a file is as it was.
func (v version) same(was version) bool {
	return was.FileInfo != nil && os.SameFile(v.FileInfo, was.FileInfo) && v.Size() == was.Size() && v.ModTime().Equal(was.ModTime())
}
