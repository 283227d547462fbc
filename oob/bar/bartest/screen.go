// Package bartest is what a terminal shows of the few control sequences that a
// progress bar uses, for tests.
package bartest

import (
	"fmt"
	"strconv"
	"strings"
)

// Screen is a terminal that breaks lines at its width, and breaks them anew when
// it is resized, as current terminals do. Its height has no end.
type Screen struct {
	width    int
	lines    [][]rune // as printed, before they are broken
	row, col int      // of the cursor: the line, and where in it
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
	s.col++
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
	case sequence == "[J":
		s.lines[s.row] = s.lines[s.row][:min(s.col, len(s.lines[s.row]))]
		s.lines = s.lines[:s.row+1]
	case strings.HasPrefix(sequence, "[") && sequence[len(sequence)-1] == 'A':
		n, err := strconv.Atoi(sequence[1 : len(sequence)-1])
		if err != nil {
			return "", fmt.Errorf("cannot obey control sequence %q: %w", sequence, err)
		}
		s.up(n)
	default:
		return "", fmt.Errorf("control sequence %q is not known", sequence)
	}
	return text[end+1:], nil
}

// up moves the cursor up by rows of the terminal.
func (s *Screen) up(rows int) {
	for range rows {
		switch {
		case s.col >= s.width: // within a line that was broken
			s.col -= s.width
		case s.row > 0:
			s.row--
			above := max(len(s.lines[s.row])-1, 0)
			s.col += above - above%s.width
		}
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
