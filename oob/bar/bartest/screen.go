// Package bartest is what a terminal shows of the few control sequences that a
// progress bar uses, for tests.
package bartest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Screen is a terminal that breaks lines at its width, and breaks them anew when
// it is resized, as current terminals do. Its height has no end.
type Screen struct {
	width    int
	lines    [][]rune // as printed, before they are broken
	row, col int      // of the cursor: the line, and where in it
	cuts     bool     // at its width, and does not break lines
	pending  string   // an unfinished control sequence
}

// New makes an empty screen.
func New(width int) *Screen { return &Screen{width: width, lines: [][]rune{nil}} }

// Resize gives the screen another width.
func (s *Screen) Resize(width int) { s.width = width }

// Write prints text. A control sequence that it does not know is an error.
func (s *Screen) Write(p []byte) (int, error) {
	text := s.pending + string(p)
	s.pending = ""
	for text != "" {
		rest, err := s.one(text)
		if err != nil {
			return 0, err
		}
		if rest == text { // the rest of the sequence is still to come
			s.pending = text
			break
		}
		text = rest
	}
	return len(p), nil
}

// one prints the first character of text, or obeys the control sequence that it
// begins with, and returns what follows.
func (s *Screen) one(text string) (string, error) {
	switch text[0] {
	case '\r':
		s.col -= s.col % s.width
		return text[1:], nil
	case '\n':
		s.row, s.col = s.row+1, 0
		if s.row == len(s.lines) {
			s.lines = append(s.lines, nil)
		}
		return text[1:], nil
	case 0x1b:
		return s.control(text)
	}
	r := []rune(text)[0]
	line := s.lines[s.row]
	for len(line) <= s.col {
		line = append(line, ' ')
	}
	line[s.col] = r
	s.lines[s.row] = line
	if !s.cuts || (s.col+1)%s.width != 0 {
		s.col++
	}
	return text[len(string(r)):], nil
}

// control obeys a control sequence.
func (s *Screen) control(text string) (string, error) {
	end := strings.IndexFunc(text, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' })
	if end < 0 {
		return text, nil
	}
	sequence := text[1 : end+1]
	switch {
	case sequence == "[?7l", sequence == "[?7h":
		s.cuts = sequence == "[?7l"
	case sequence == "[K":
		s.eraseRow()
	case sequence == "[B":
		s.down()
	case strings.HasPrefix(sequence, "[") && sequence[len(sequence)-1] == 'A':
		n, err := strconv.Atoi(sequence[1 : len(sequence)-1])
		if err != nil {
			return "", fmt.Errorf("cannot obey control sequence %q: %w", sequence, err)
		}
		for range n {
			s.up()
		}
	default:
		return "", fmt.Errorf("control sequence %q is not known", sequence)
	}
	return text[end+1:], nil
}

// eraseRow empties the rest of the cursor's row. What was broken off its line is
// a line of its own from then on.
func (s *Screen) eraseRow() {
	line := s.lines[s.row]
	if end := s.col - s.col%s.width + s.width; len(line) > end {
		s.lines = slices.Insert(s.lines, s.row+1, slices.Clone(line[end:]))
	}
	s.lines[s.row] = line[:min(s.col, len(line))]
}

// down moves the cursor down, which is within its line where that is broken.
func (s *Screen) down() {
	switch {
	case len(s.lines[s.row]) > s.col-s.col%s.width+s.width:
		s.col += s.width
	case s.row+1 < len(s.lines):
		s.row, s.col = s.row+1, s.col%s.width
	}
}

// up moves the cursor up.
func (s *Screen) up() {
	switch {
	case s.col >= s.width:
		s.col -= s.width
	case s.row > 0:
		s.row--
		last := max(len(s.lines[s.row])-1, 0)
		s.col += last - last%s.width
	}
}

// Lines are what is on the screen, each line as long as the terminal is wide at
// most.
func (s *Screen) Lines() []string {
	var out []string
	for _, line := range s.lines {
		for len(line) > s.width {
			out = append(out, string(line[:s.width]))
			line = line[s.width:]
		}
		out = append(out, strings.TrimRight(string(line), " "))
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}
