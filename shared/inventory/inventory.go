// Package inventory reads the CSV of machines that `oob machine add --csv` and
// a plugin's `run --targets` share.
//
// The first row names the columns: name, driver, address, port, username and
// password-file, then any param names. Which params the columns address, port,
// username and password-file set depends on the row's driver. A line that
// begins with # is a comment, an empty cell sets nothing.
package inventory

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"

	"provision-plugins/shared/model"
)

// Columns tells which param a column sets: address, port, username, password.
// It is what a provider's model.MetaColumns holds.
type Columns map[string]string

// Row is one machine.
type Row struct {
	// Name is the machine's name.
	Name string
	// Driver is the driver's name; empty means the caller's default.
	Driver string
	// Params are the machine's params, secrets in the clear.
	Params model.Params
	// Line is where in the file the row begins.
	Line int
}

// The bounds of a file.
const (
	maxFile     = 64 << 20
	maxRows     = 200_000
	maxColumns  = 256
	maxName     = 255
	maxPassword = 16 << 10
)

// Read reads rows. Files named by password-file are looked for in dir; columns
// returns the columns of a driver, and is asked once for each.
func Read(r io.Reader, dir string, columns func(driver string) (Columns, error)) ([]Row, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read inventory: %w", err)
	}
	if len(raw) > maxFile {
		return nil, model.Errorf(model.Invalid, "cannot read inventory: larger than %d MiB", maxFile>>20)
	}
	cr := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\uFEFF"))))
	cr.Comment = '#'
	cr.TrimLeadingSpace = true
	cr.ReuseRecord = true
	head, err := readHeader(cr)
	if err != nil {
		return nil, err
	}
	return readRows(cr, &reader{
		head:      head,
		passwords: passwords{dir: dir, seen: map[string]string{}},
		ask:       columns,
		columns:   map[string]Columns{},
	})
}

// readRows reads everything below the header.
func readRows(cr *csv.Reader, rd *reader) ([]Row, error) {
	var rows []Row
	lines := map[string]int{}
	for {
		cells, err := cr.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, csvError(err)
		}
		line, _ := cr.FieldPos(0)
		if len(rows) == maxRows {
			return nil, lineError(line, "more than %d machines", maxRows)
		}
		row, err := rd.row(cells, line)
		if err != nil {
			return nil, err
		}
		if first, twice := lines[row.Name]; twice {
			return nil, lineError(line, "machine %s stands on line %d already", row.Name, first)
		}
		lines[row.Name] = line
		rows = append(rows, row)
	}
}

// csvError words a parser's error; it names line and column itself.
func csvError(err error) error {
	var pe *csv.ParseError
	if errors.As(err, &pe) {
		if errors.Is(pe.Err, csv.ErrFieldCount) {
			return lineError(pe.Line, "not as many cells as the header has columns")
		}
		return lineError(pe.Line, "column %d: %w", pe.Column, pe.Err)
	}
	return model.Errorf(model.Invalid, "cannot read inventory: %w", err)
}

// lineError is an error about one line.
func lineError(line int, format string, args ...any) error {
	return model.Errorf(model.Invalid, "cannot read inventory: line %d: "+format, append([]any{line}, args...)...)
}
