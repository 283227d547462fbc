package bar_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"provision-plugins/oob/bar"
	"provision-plugins/oob/bar/bartest"
)

// terminal is a screen, and a bar on it.
type terminal struct {
	t      *testing.T
	width  int
	screen *bartest.Screen
	bar    *bar.Bar
}

// newTerminal makes an empty terminal.
func newTerminal(t *testing.T, width int) *terminal {
	tt := &terminal{t: t, width: width, screen: bartest.New(width)}
	tt.bar = bar.New(tt, func() int { return tt.width })
	return tt
}

// Write prints on the screen.
func (tt *terminal) Write(p []byte) (int, error) {
	n, err := tt.screen.Write(p)
	if err != nil {
		tt.t.Error(err)
	}
	return n, err
}

// resize changes the width.
func (tt *terminal) resize(width int) {
	tt.width = width
	tt.screen.Resize(width)
}

// wants compares the screen.
func (tt *terminal) wants(lines ...string) {
	tt.t.Helper()
	if got := tt.screen.Lines(); !slices.Equal(got, lines) {
		tt.t.Errorf("the screen shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func TestBarFollowsTheWidth(t *testing.T) {
	half := bar.State{Label: "power on", Done: 5, Total: 10, Note: "2 failed"}
	for _, tt := range []struct {
		width int
		state bar.State
		want  string
	}{
		{80, half, "power on [###############---------------] 5/10, 2 failed"},
		{500, half, "power on [###############---------------] 5/10, 2 failed"},
		{40, half, "power on [######-------] 5/10, 2 failed"},
		{30, half, "power on 5/10, 2 failed"},
		{15, half, "power on 5/10,"},
		{5, half, "powe"},
		{1, half, ""},
		{0, half, ""},
		{80, bar.State{Label: "x", Done: 0, Total: 3}, "x [------------------------------] 0/3"},
		{80, bar.State{Label: "x", Done: 3, Total: 3}, "x [##############################] 3/3"},
		{80, bar.State{Label: "x", Done: 9, Total: 3}, "x [##############################] 9/3"},
		{80, bar.State{Label: "x"}, "x [##############################] 0/0"},
	} {
		t.Run(fmt.Sprint(tt.width, tt.state), func(t *testing.T) {
			var out bytes.Buffer
			bar.New(&out, func() int { return tt.width }).Draw(tt.state)
			got := strings.TrimSuffix(strings.TrimPrefix(out.String(), "\r\x1b[K\x1b[?7l"), "\x1b[?7h\r")
			if got != tt.want {
				t.Errorf("drew %q, want %q", got, tt.want)
			}
			// The last column stays empty: a terminal would break the line there.
			if len(got) > max(tt.width-1, 0) {
				t.Errorf("%d columns on a terminal of %d", len(got), tt.width)
			}
		})
	}
}

func TestBarLeavesNothing(t *testing.T) {
	tt := newTerminal(t, 60)
	fmt.Fprint(tt, "$ oob power on --all\n")
	tt.bar.Clear()
	for done := range 4 {
		tt.bar.Draw(bar.State{Label: "power on", Done: done, Total: 4, Note: strings.Repeat("!", 3-done)})
		tt.bar.Clear()
		fmt.Fprintf(tt, "m%d: on\n", done)
	}
	tt.bar.Draw(bar.State{Label: "power on", Done: 4, Total: 4})
	tt.wants("$ oob power on --all", "m0: on", "m1: on", "m2: on", "m3: on", "power on [##############################] 4/4")
	tt.bar.Clear()
	tt.bar.Clear()
	tt.wants("$ oob power on --all", "m0: on", "m1: on", "m2: on", "m3: on")
}

func TestBarOnATerminalThatIsResized(t *testing.T) {
	for _, widths := range [][]int{{100, 50, 20, 7, 60, 3}, {60, 30, 60}, {10, 100, 9}} {
		t.Run(fmt.Sprint(widths), func(t *testing.T) {
			tt := newTerminal(t, widths[0])
			fmt.Fprint(tt, "first\n")
			for i, width := range widths {
				tt.resize(width)
				tt.bar.Draw(bar.State{Label: "power cycle", Done: i, Total: len(widths), Note: "1 failed"})
				if got := tt.screen.Lines(); width > 5 && (len(got) != 2 || got[0] != "first") {
					t.Errorf("at width %d the screen shows\n%s", width, strings.Join(got, "\n"))
				}
			}
			tt.bar.Clear()
			tt.resize(60)
			tt.wants("first")
		})
	}
}

// TestBarDrawnForAnotherWidth resizes the terminal before the bar knows of it.
func TestBarDrawnForAnotherWidth(t *testing.T) {
	tt := newTerminal(t, 60)
	fmt.Fprint(tt, "first\n")
	state := bar.State{Label: "power cycle", Done: 1, Total: 2, Note: "1 failed"}
	tt.bar.Draw(state)
	tt.screen.Resize(20) // the terminal, and not what the bar is told
	tt.bar.Draw(state)
	tt.bar.Draw(state)
	tt.width = 20
	tt.bar.Draw(state)
	tt.wants("first", "power cycle 1/2, 1")
	tt.bar.Clear()
	tt.wants("first")
}

func TestNoBar(*testing.T) {
	var b *bar.Bar
	b.Draw(bar.State{Total: 1})
	b.Clear()
}

func TestScreenRefuses(t *testing.T) {
	for _, text := range []string{"\x1b[2K", "\x1b[xA", "\x1b]A"} {
		if _, err := bartest.New(10).Write([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	// A sequence may come in pieces.
	s := bartest.New(10)
	for _, piece := range []string{"a", "\r\x1b", "[", "K", "b"} {
		if _, err := s.Write([]byte(piece)); err != nil {
			t.Error(err)
		}
	}
	if got := s.Lines(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("the screen shows %q", got)
	}
}
