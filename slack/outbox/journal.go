package outbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"provision-plugins/shared/keep"
	"provision-plugins/shared/model"
)

const (
	journalName = "outbox.journal"
	// header begins the file; its number is that of the format.
	header = "slack outbox 1\n"
	// maxLine bounds one line of the file.
	maxLine = 1 << 20
	// sumLen is the length of a line's checksum and the space after it.
	sumLen = 9
)

// castagnoli is the polynomial of the checksums.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ledger is what a journal keeps: the sum of its lines.
type ledger interface {
	// apply counts a line that is on disk, which begins at the given offset.
	apply(line []byte, at int64)

	// lines are those that would make the ledger what it is now.
	lines() iter.Seq[[]byte]

	// moved is told where those lines are in a new file, in their order.
	moved(file *os.File, lines []line)
}

// line is where a line is in a file.
type line struct {
	at   int64
	size int
}

// journal is a file of lines. What comes at once is synced together.
type journal struct {
	path   string
	ledger ledger

	write sync.Mutex // guards file, size and floor, and orders the calls of ledger
	file  *os.File
	size  int64
	floor int64 // the size after the last rewrite

	fat atomic.Bool // a rewrite is worth it; set with write held

	mu      sync.Mutex // guards waiting and running
	waiting []*pending
	running bool
	runs    sync.WaitGroup
}

// pending is a line on its way to the disk; err stands once done is closed.
type pending struct {
	line []byte
	done chan struct{}
	err  error
}

// openJournal reads the journal of dir, or begins one. It returns how many lines
// were damaged, and so did not count.
func openJournal(dir string, l ledger) (*journal, int, error) {
	path := filepath.Join(dir, journalName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot open the outbox: %w", err)
	}
	j := &journal{path: path, ledger: l, file: f}
	damaged, err := j.load()
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("cannot read the outbox %s: %w", path, err)
	}
	return j, damaged, nil
}

// load applies all whole lines and cuts a torn end off.
func (j *journal) load() (damaged int, err error) {
	r := bufio.NewReaderSize(j.file, maxLine)
	head, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, io.EOF) && bytes.HasPrefix([]byte(header), head):
		return 0, j.begin()
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
		return 0, err
	case string(head) != header:
		return 0, model.Errorf(model.Conflict, "it is not an outbox of this version; move it away to begin a new one")
	}
	at := int64(len(header))
	for {
		raw, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			break // a torn end, or none
		}
		line, ok := unseal(raw)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			damaged++
			n, skipErr := skipLine(r)
			if at += int64(len(raw)) + n; skipErr != nil {
				return damaged, j.cut(at)
			}
			continue
		case err != nil:
			return damaged, err
		case !ok:
			damaged++
		default:
			j.ledger.apply(line, at+sumLen)
		}
		at += int64(len(raw))
	}
	return damaged, j.cut(at)
}

// skipLine reads to the end of a line that is too long.
func skipLine(r *bufio.Reader) (n int64, err error) {
	for {
		raw, err := r.ReadSlice('\n')
		n += int64(len(raw))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, err
		}
	}
}

// begin makes an empty file a journal.
func (j *journal) begin() error {
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	if _, err := j.file.WriteAt([]byte(header), 0); err != nil {
		return err
	}
	j.size, j.floor = int64(len(header)), int64(len(header))
	return errors.Join(j.file.Sync(), keep.Folder(filepath.Dir(j.path)))
}

// cut makes the file end at size.
func (j *journal) cut(size int64) error {
	j.size, j.floor = size, size
	if err := j.file.Truncate(size); err != nil {
		return err
	}
	return j.file.Sync()
}

// append writes a line. When it returns nil the line is on disk and counts.
func (j *journal) append(line []byte) error {
	p := &pending{line: seal(line), done: make(chan struct{})}
	if len(p.line) > maxLine {
		return model.Errorf(model.Invalid, "cannot keep a record of %d bytes", len(line))
	}
	j.mu.Lock()
	j.waiting = append(j.waiting, p)
	if !j.running {
		j.running = true
		j.runs.Go(j.run)
	}
	j.mu.Unlock()
	<-p.done
	return p.err
}

// run writes until nothing waits.
func (j *journal) run() {
	for {
		j.mu.Lock()
		group := j.waiting
		j.waiting, j.running = nil, len(group) > 0
		j.mu.Unlock()
		if len(group) == 0 {
			return
		}
		j.writeGroup(group)
	}
}

// writeGroup writes some lines and syncs once. Lines that could not be synced
// are taken back: they must not count at the next start either.
func (j *journal) writeGroup(group []*pending) {
	j.write.Lock()
	defer j.write.Unlock()
	var buf bytes.Buffer
	for _, p := range group {
		buf.Write(p.line)
	}
	err := j.put(buf.Bytes())
	at := j.size
	for _, p := range group {
		if p.err = err; err == nil {
			j.ledger.apply(p.line[sumLen:len(p.line)-1], at+sumLen)
			at += int64(len(p.line))
		}
	}
	j.size = at
	if j.size > 2*j.floor && j.size-j.floor > rewriteAfter {
		j.fat.Store(true)
	}
	for _, p := range group {
		close(p.done)
	}
}

// put writes data at the end and syncs it.
func (j *journal) put(data []byte) error {
	_, err := j.file.WriteAt(data, j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot write the outbox: %w", errors.Join(err, j.file.Truncate(j.size)))
}

// due tells whether a rewrite is worth it: the file has doubled since the last one,
// and grown by rewriteAfter. It waits for nobody who writes.
func (j *journal) due() bool { return j.fat.Load() }

// rewrite replaces the file by one of the lines that still matter.
func (j *journal) rewrite() error {
	j.write.Lock()
	defer j.write.Unlock()
	next, places, size, err := j.writeNext()
	if err != nil {
		return fmt.Errorf("cannot rewrite the outbox: %w", err)
	}
	if err := os.Rename(next.Name(), j.path); err != nil {
		return fmt.Errorf("cannot rewrite the outbox: %w", errors.Join(err, next.Close()))
	}
	old := j.file
	j.file, j.size, j.floor = next, size, size
	j.fat.Store(false)
	j.ledger.moved(next, places)
	return errors.Join(keep.Folder(filepath.Dir(j.path)), old.Close())
}

// writeNext makes the new file beside the old one.
func (j *journal) writeNext() (next *os.File, places []line, size int64, err error) {
	name := j.path + ".new"
	if next, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, nil, 0, err
	}
	defer func() {
		if err != nil {
			next.Close()
		}
	}()
	w := bufio.NewWriterSize(next, 1<<16)
	n, _ := w.WriteString(header) // an error is told by Flush
	size = int64(n)
	for text := range j.ledger.lines() {
		places = append(places, line{size + sumLen, len(text)})
		n, _ := w.Write(seal(text))
		size += int64(n)
	}
	if err = w.Flush(); err != nil {
		return nil, nil, 0, err
	}
	return next, places, size, next.Sync()
}

// close waits for what is being written and closes the file.
func (j *journal) close() error {
	j.runs.Wait()
	j.write.Lock()
	defer j.write.Unlock()
	if err := j.file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("cannot close the outbox: %w", err)
	}
	return nil
}

// seal is a line with its checksum and its end.
func seal(line []byte) []byte {
	out := make([]byte, 0, sumLen+len(line)+1)
	out = fmt.Appendf(out, "%08x ", crc32.Checksum(line, castagnoli))
	return append(append(out, line...), '\n')
}

// unseal is the line within, false if it is not what was written.
func unseal(raw []byte) ([]byte, bool) {
	raw, whole := bytes.CutSuffix(raw, []byte{'\n'})
	if !whole || len(raw) < sumLen || raw[sumLen-1] != ' ' {
		return nil, false
	}
	line := raw[sumLen:]
	return line, string(raw[:sumLen]) == fmt.Sprintf("%08x ", crc32.Checksum(line, castagnoli))
}
