package plugin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"
)

const (
	// maxPrinted is the longest printed line that is kept whole, in bytes.
	maxPrinted = 4 << 10
	// printRate and printBurst bound how much a plugin's printing costs the host.
	printRate  = 100
	printBurst = 500
	// maxTail is how many lines are kept to explain a failure.
	maxTail = 20
)

// printed follows what a plugin process prints: it waits for READY, then hands
// lines to the logger, bounded in length and rate.
type printed struct {
	logger  *slog.Logger
	limit   *rate.Limiter
	dropped atomic.Int64
	ready   chan struct{} // closed when READY was read

	once sync.Once // closes ready
	mu   sync.Mutex
	tail []string // the last lines; guarded by mu
}

// newPrinted makes a follower.
func newPrinted(l *slog.Logger) *printed {
	return &printed{logger: l, limit: rate.NewLimiter(printRate, printBurst), ready: make(chan struct{})}
}

// follow reads r to its end.
func (p *printed) follow(r io.Reader, level slog.Level, awaitReady bool) {
	lines := bufio.NewReaderSize(r, maxPrinted)
	for {
		line, err := readLine(lines)
		if awaitReady && strings.TrimSpace(line) == readyLine {
			awaitReady = false
			p.once.Do(func() { close(p.ready) })
		} else if line != "" {
			p.print(level, line)
		}
		if err != nil {
			return
		}
	}
}

// readLine reads one line; what is longer than the buffer is cut and the rest
// of it skipped.
func readLine(r *bufio.Reader) (string, error) {
	raw, err := r.ReadSlice('\n')
	line := string(raw)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	return oneLine(line, maxPrinted), err
}

// print keeps a line and logs it, unless there are too many.
func (p *printed) print(level slog.Level, line string) {
	p.mu.Lock()
	p.tail = append(p.tail, line)
	if len(p.tail) > maxTail {
		p.tail = append(p.tail[:0], p.tail[1:]...)
	}
	p.mu.Unlock()
	if !p.limit.Allow() {
		p.dropped.Add(1)
		return
	}
	if n := p.dropped.Swap(0); n > 0 {
		p.logger.Warn("printed lines were dropped: there were too many", "lines", n)
	}
	p.logger.Log(context.Background(), level, line)
}

// why is what the process printed last, to explain its failure: ": cause" or
// nothing.
func (p *printed) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text := complaint(strings.Join(p.tail, "\n")); text != "" {
		return ": " + text
	}
	return ""
}
