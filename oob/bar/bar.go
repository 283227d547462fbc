// Package bar draws a progress bar on the last line of a terminal.
package bar

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The bounds of a bar, in columns.
const (
	// maxWidth is where a bar ends even on a wide terminal.
	maxWidth = 100
	// minCells is how many cells the bar itself has at least; with fewer, only
	// the text is shown.
	minCells = 8
	maxCells = 30
)

// Bar is a progress bar. It is used by one goroutine; a nil Bar draws nothing.
type Bar struct {
	out     io.Writer
	columns func() int
	shown   int // columns of what is on the terminal now
}

// New makes a bar on a terminal; columns tells how wide that is, each time it
// is drawn.
func New(out io.Writer, columns func() int) *Bar { return &Bar{out: out, columns: columns} }

// State is what a bar shows.
type State struct {
	Label       string // what is done, "power on"
	Done, Total int
	Note        string // what else there is to say, "2 failed"
}

// What has a terminal cut a line that is too long, and break it again. The width
// that a bar is drawn for may be that of a moment ago.
const noWrap, wrap = "\x1b[?7l", "\x1b[?7h"

// Draw draws the bar in place of what it showed before. What it writes is one
// write, so that nothing comes in between. The cursor is left where the bar
// begins: it is there, too, once the terminal has another width.
func (b *Bar) Draw(s State) {
	if b == nil {
		return
	}
	width := b.columns()
	text := s.line(min(width-1, maxWidth))
	b.write(b.erase(width) + noWrap + text + wrap + "\r")
	b.shown = utf8.RuneCountInString(text)
}

// Clear removes the bar, so that something else can be printed.
func (b *Bar) Clear() {
	if b == nil || b.shown == 0 {
		return
	}
	b.write(b.erase(b.columns()))
	b.shown = 0
}

// erase is what empties the line that the cursor is at the beginning of, and the
// further ones that the bar takes where the terminal was made narrower. Each is
// emptied by itself: to erase all that is below makes some terminals scroll.
func (b *Bar) erase(width int) string {
	const line = "\r\x1b[K"
	further := max(b.shown-1, 0) / max(width, 1)
	if further == 0 {
		return line
	}
	return line + strings.Repeat("\x1b[B"+line, further) + fmt.Sprintf("\x1b[%dA", further)
}

// write writes to the terminal. A terminal that has gone away is for those to
// notice who print what matters.
func (b *Bar) write(text string) { fmt.Fprint(b.out, text) }

// line is the bar in at most width columns.
func (s State) line(width int) string {
	text := fmt.Sprintf("%d/%d", s.Done, s.Total)
	if s.Note != "" {
		text += ", " + s.Note
	}
	if cells := min(width-utf8.RuneCountInString(s.Label+text)-4, maxCells); cells >= minCells {
		return s.Label + " [" + s.cells(cells) + "] " + text
	}
	return cut(s.Label+" "+text, width)
}

// cells is the inside of the bar.
func (s State) cells(n int) string {
	full := n
	if s.Total > 0 {
		full = n * min(max(s.Done, 0), s.Total) / s.Total
	}
	return strings.Repeat("#", full) + strings.Repeat("-", n-full)
}

// cut cuts a text to a width.
func cut(text string, width int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), max(width, 0))])
}
