package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"provision-plugins/shared/model"
)

// table prints rows in aligned columns; the first row is the header. An empty
// cell is printed as a dash.
func table(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = clean(cell); cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return model.Errorf(model.Internal, "cannot print: %w", err)
	}
	return nil
}

// ages are the units an age is told in.
var ages = []struct {
	unit time.Duration
	name string
}{
	{24 * time.Hour, "d"},
	{time.Hour, "h"},
	{time.Minute, "m"},
	{time.Second, "s"},
}

// age tells how long ago t was, in the largest unit that fits.
func age(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	for _, a := range ages {
		if n := d / a.unit; n > 0 {
			return fmt.Sprintf("%d%s ago", n, a.name)
		}
	}
	return "now"
}

// stamp is a time for people, in their zone.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
