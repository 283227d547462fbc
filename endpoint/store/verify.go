package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"

	"provision-plugins/shared/model"
)

// The engine keeps messages in files of records. It trusts a file whose end fits
// its index, cuts one that it reads anew off at the first record that is damaged,
// with all that follows, and some flipped bits keep it busy for ever. So the
// records are looked at before it starts: damage is told and nothing is lost by it.
//
// A record is, little-endian: its length (4 bytes, the highest bit says that there
// are headers), sequence (8), time (8), length of the subject (2), the subject,
// with headers their length (4) and themselves, the data, and a checksum (8) over
// sequence, time, subject, headers and data.
const (
	recordHead = 22
	recordSum  = 8
	hasHeaders = 1 << 31
	// maxRecord is the longest that the engine takes for a record.
	maxRecord = 32 << 20

	blockEnding = ".blk"
	// cleanName is the file that stands while a store is closed in order: all its
	// records are whole then.
	cleanName = "clean"
)

// headersEnd ends the headers of a message.
var headersEnd = []byte("\r\n\r\n")

// verify looks at the records of all streams, and refuses damage. What follows the
// last whole record of the newest file is what a crash has cut off while it was
// written, before it was acknowledged, unless the store was closed in order.
func verify(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, cleanName))
	clean := err == nil
	var room bytes.Buffer // of one file after the other
	for _, name := range streamNames {
		files, err := blocks(streamDir(dir, name))
		if err != nil {
			return dirError(dir, err)
		}
		for i, file := range files {
			torn := !clean && i == len(files)-1
			if err := file.read(&room); err != nil {
				return dirError(file.path, err)
			}
			if err := verifyBlock(file, room.Bytes(), torn); err != nil {
				return err
			}
		}
	}
	return nil
}

// block is a file of records.
type block struct {
	stream, path string
	number       int
}

// read reads the file in the place of what is in the buffer.
func (b block) read(into *bytes.Buffer) error {
	f, err := os.Open(b.path)
	if err != nil {
		return err
	}
	defer f.Close()
	into.Reset()
	_, err = into.ReadFrom(f)
	return err
}

// blocks lists the files of the stream in a folder, oldest first.
func blocks(dir string) ([]block, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "msgs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []block
	for _, e := range entries {
		text, found := strings.CutSuffix(e.Name(), blockEnding)
		if n, err := strconv.Atoi(text); found && err == nil {
			out = append(out, block{filepath.Base(dir), filepath.Join(dir, "msgs", e.Name()), n})
		}
	}
	slices.SortFunc(out, func(a, b block) int { return a.number - b.number })
	return out, nil
}

// verifyBlock looks at the content of one file. Torn says that its end may have
// been cut off.
func verifyBlock(b block, raw []byte, torn bool) error {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", b.stream, b.number))
	sum, err := highwayhash.New64(key[:])
	if err != nil {
		return err
	}
	for at := 0; at < len(raw); {
		n := wholeRecord(raw[at:], sum)
		if n == 0 {
			if torn && !anyRecord(raw[at+1:], sum) {
				return nil
			}
			return model.Errorf(model.Internal, "cannot open the store: %s is damaged at byte %d; restore a snapshot (oob restore FILE)", b.path, at)
		}
		at += n
	}
	return nil
}

// wholeRecord is the length of the record that raw begins with, 0 if there is none
// or it is damaged.
func wholeRecord(raw []byte, sum hash.Hash64) int {
	if len(raw) < recordHead+recordSum {
		return 0
	}
	length := binary.LittleEndian.Uint32(raw)
	headed := length&hasHeaders != 0
	n := int(length &^ hasHeaders)
	subject := recordHead + int(binary.LittleEndian.Uint16(raw[recordHead-2:]))
	if n < recordHead+recordSum || n > len(raw) || n > maxRecord || subject > n-recordSum {
		return 0
	}
	rest := raw[subject : n-recordSum]
	if headed {
		if !wholeHeaders(rest) {
			return 0
		}
		rest = rest[4:]
	}
	sum.Reset()
	for _, part := range [][]byte{raw[4 : recordHead-2], raw[recordHead:subject], rest} {
		_, _ = sum.Write(part) // a hash takes everything
	}
	if !bytes.Equal(sum.Sum(nil), raw[n-recordSum:n]) {
		return 0
	}
	return n
}

// wholeHeaders reports whether the length of headers, which no checksum covers, is
// where they end.
func wholeHeaders(rest []byte) bool {
	if len(rest) < 4 {
		return false
	}
	n := int(binary.LittleEndian.Uint32(rest))
	return n <= len(rest)-4 && bytes.Index(rest[4:], headersEnd)+len(headersEnd) == n
}

// anyRecord reports whether there is a whole record anywhere: what goes on after
// damage was not cut off by it.
func anyRecord(raw []byte, sum hash.Hash64) bool {
	for at := range raw {
		if wholeRecord(raw[at:], sum) > 0 {
			return true
		}
	}
	return false
}

// setClean notes that a store was closed in order, and setInUse that it may not
// have been.
func setClean(dir string) error {
	return errors.Join(os.WriteFile(filepath.Join(dir, cleanName), nil, 0o600), syncPath(dir))
}

// setInUse is the reverse of setClean.
func setInUse(dir string) error {
	if err := os.Remove(filepath.Join(dir, cleanName)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncPath(dir)
}
