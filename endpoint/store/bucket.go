package store

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"provision-plugins/shared/model"
)

// The bucket is read from its files, which are looked at anyway before the engine
// starts: through the engine each message is copied half a dozen times, which takes
// longer than all else at the start. The newest record of a key is what the bucket
// has of it. Whether the engine thinks so too is asked when it is up; see load.

// spot is where a record of the bucket stands.
type spot struct {
	seq   uint64
	block int
	at, n int
}

// survey is what stands in the files of the bucket.
type survey struct {
	files []block

	mu     sync.Mutex // guards all below, while files are looked at
	newest map[string]spot
	gone   []uint64 // the sequences that were removed one by one
	last   uint64   // the newest sequence
}

// newSurvey returns a survey of files that were not looked at yet.
func newSurvey(files []block) *survey {
	return &survey{files: files, newest: map[string]spot{}}
}

// keyed is a record's key and where it stands.
type keyed struct {
	key string
	spot
}

// take takes in what stands in a file, whose records are whole.
func (v *survey) take(number int, raw []byte) {
	var found []keyed
	var gone []uint64
	var last uint64
	for at := 0; at < len(raw); {
		r, ok := parseRecord(raw[at:])
		if !ok {
			break
		}
		switch key, ours := bytes.CutPrefix(r.subject, []byte(bucketSubject)); {
		case r.removes():
			gone = append(gone, r.seq&^removedBit)
		case ours && r.seq&erasedBit == 0:
			found = append(found, keyed{string(key), spot{r.seq, number, at, r.length}})
		}
		last = max(last, r.seq&^(erasedBit|removedBit))
		at += r.length
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gone, v.last = append(v.gone, gone...), max(v.last, last)
	for _, k := range found {
		if v.newest[k.key].seq < k.seq {
			v.newest[k.key] = k.spot
		}
	}
}

// live are the records that count, of each file in their order.
func (v *survey) live() [][]spot {
	gone := make(map[uint64]bool, len(v.gone))
	for _, seq := range v.gone {
		gone[seq] = true
	}
	out := make([][]spot, len(v.files))
	for _, s := range v.newest {
		if !gone[s.seq] {
			out[s.block] = append(out[s.block], s)
		}
	}
	for _, spots := range out {
		slices.SortFunc(spots, func(a, b spot) int { return a.at - b.at })
	}
	return out
}

// contents reads the records that count.
func (v *survey) contents() (*contents, error) {
	live := v.live()
	v.newest = nil
	all := &contents{last: v.last}
	var mu sync.Mutex // guards all
	err := beside(len(v.files), func(number int, room *bytes.Buffer) error {
		file := v.files[number]
		if len(live[number]) == 0 {
			return nil
		}
		if err := file.read(room); err != nil {
			return dirError(file.path, err)
		}
		c := &contents{items: make([]*item, 0, len(live[number]))}
		for _, s := range live[number] {
			e, ok := entryAt(room.Bytes(), s)
			if !ok {
				return model.Errorf(model.Internal, "cannot open the store: %s has changed while it was read", file.path)
			}
			if err := c.add(e); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		all.join(c)
		return nil
	})
	return all, err
}

// entryAt is the message that stands at a spot of a file.
func entryAt(raw []byte, s spot) (entry, bool) {
	if s.at+s.n > len(raw) {
		return entry{}, false
	}
	r, ok := parseRecord(raw[s.at : s.at+s.n])
	if !ok || r.seq != s.seq {
		return entry{}, false
	}
	marker, ok := r.marker()
	return entry{strings.TrimPrefix(string(r.subject), bucketSubject), r.data, s.seq, marker}, ok
}

// marker reports whether a record is a delete marker. Few headers are read for it.
func (r record) marker() (marker, ok bool) {
	if !bytes.Contains(r.headers, []byte(opHeader)) {
		return false, true
	}
	h, err := nats.DecodeHeadersMsg(r.headers)
	return err == nil && isMarker(h), err == nil
}

// beside calls fn with each number below n, from as many goroutines as there are
// processors, each of which has a buffer. It returns the first error.
func beside(n int, fn func(i int, room *bytes.Buffer) error) error {
	var next atomic.Int64
	var first error
	var once sync.Once
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			var room bytes.Buffer
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := fn(i, &room); err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
				}
			}
		})
	}
	work.Wait()
	return first
}
