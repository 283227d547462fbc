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
// written, before it was acknowledged, unless the store was closed in order. It tells
// what stands in the files of the bucket.
func verify(dir string) (*survey, error) {
	_, err := os.Lstat(filepath.Join(dir, cleanName))
	clean := err == nil
	var all []block
	var bucket *survey
	for _, name := range streamNames {
		files, err := blocks(streamDir(dir, name))
		if err != nil {
			return nil, dirError(dir, err)
		}
		if len(files) > 0 {
			files[len(files)-1].torn = !clean
		}
		if name == bucketName { // the first
			bucket = newSurvey(files)
		}
		all = append(all, files...)
	}
	return bucket, beside(len(all), func(i int, room *bytes.Buffer) error {
		if err := all[i].read(room); err != nil {
			return dirError(all[i].path, err)
		}
		whole, err := verifyBlock(all[i], room.Bytes())
		if err == nil && i < len(bucket.files) {
			bucket.take(i, room.Bytes()[:whole])
		}
		return err
	})
}

// block is a file of records.
type block struct {
	stream, path string
	number       int
	torn         bool // its end may have been cut off
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
			out = append(out, block{stream: filepath.Base(dir), path: filepath.Join(dir, "msgs", e.Name()), number: n})
		}
	}
	slices.SortFunc(out, func(a, b block) int { return a.number - b.number })
	return out, nil
}

// verifyBlock looks at the content of one file, and returns how much of it is whole.
func verifyBlock(b block, raw []byte) (whole int, err error) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", b.stream, b.number))
	sum, err := highwayhash.New64(key[:])
	if err != nil {
		return 0, err
	}
	at := 0
	for at < len(raw) {
		n := wholeRecord(raw[at:], sum)
		if n == 0 {
			if b.torn && !anyRecord(raw[at+1:], sum) {
				break
			}
			return 0, model.Errorf(model.Internal, "cannot open the store: %s is damaged at byte %d; restore a snapshot (oob restore FILE)", b.path, at)
		}
		at += n
	}
	return at, nil
}

// record is one of a file.
type record struct {
	length                 int
	seq                    uint64
	subject, headers, data []byte
}

// The engine tells by these bits of a sequence that the record is of a message that
// was overwritten, or says that the one of that sequence was removed.
const (
	erasedBit  = 1 << 63
	removedBit = 1 << 62
)

// removes reports whether a record says that a message was removed.
func (r record) removes() bool { return r.seq&removedBit != 0 }

// parseRecord returns the record that raw begins with, if its lengths are those of
// one.
func parseRecord(raw []byte) (record, bool) {
	if len(raw) < recordHead+recordSum {
		return record{}, false
	}
	length := binary.LittleEndian.Uint32(raw)
	n := int(length &^ hasHeaders)
	subject := recordHead + int(binary.LittleEndian.Uint16(raw[recordHead-2:]))
	if n < recordHead+recordSum || n > len(raw) || n > maxRecord || subject > n-recordSum {
		return record{}, false
	}
	r := record{length: n, seq: binary.LittleEndian.Uint64(raw[4:]), subject: raw[recordHead:subject], data: raw[subject : n-recordSum]}
	if length&hasHeaders != 0 {
		if !wholeHeaders(r.data) {
			return record{}, false
		}
		end := 4 + int(binary.LittleEndian.Uint32(r.data))
		r.headers, r.data = r.data[4:end], r.data[end:]
	}
	return r, true
}

// wholeRecord is the length of the record that raw begins with, 0 if there is none
// or it is damaged.
func wholeRecord(raw []byte, sum hash.Hash64) int {
	r, ok := parseRecord(raw)
	if !ok {
		return 0
	}
	sum.Reset()
	for _, part := range [][]byte{raw[4 : recordHead-2], r.subject, r.headers, r.data} {
		_, _ = sum.Write(part) // a hash takes everything
	}
	if !bytes.Equal(sum.Sum(nil), raw[r.length-recordSum:r.length]) {
		return 0
	}
	return r.length
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
