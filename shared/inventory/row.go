package inventory

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"provision-plugins/shared/model"
)

// The columns that are not params.
const (
	colName         = "name"
	colDriver       = "driver"
	colAddress      = "address"
	colPort         = "port"
	colUsername     = "username"
	colPassword     = "password"
	colPasswordFile = "password-file"
)

// readHeader reads and checks the first row.
func readHeader(cr *csv.Reader) ([]string, error) {
	cells, err := cr.Read()
	if errors.Is(err, io.EOF) {
		return nil, model.Errorf(model.Invalid, "cannot read inventory: it is empty; its first row names the columns, such as name,address,username,password-file")
	}
	if err != nil {
		return nil, csvError(err)
	}
	head := slices.Clone(cells)
	for i, name := range head {
		head[i] = strings.TrimSpace(name)
	}
	return head, checkHeader(head)
}

// checkHeader refuses a header that cannot be meant.
func checkHeader(head []string) error {
	if len(head) > maxColumns {
		return lineError(1, "more than %d columns", maxColumns)
	}
	if !slices.Contains(head, colName) {
		return lineError(1, "no column is called %s", colName)
	}
	for i, name := range head {
		switch {
		case name == "":
			return lineError(1, "column %d has no name", i+1)
		case name == colPassword:
			return lineError(1, "a column cannot be called %s; put the password in a file and its path under %s", colPassword, colPasswordFile)
		case slices.Contains(head[:i], name):
			return lineError(1, "column %s is there twice", strconv.Quote(name))
		}
	}
	return nil
}

// reader turns cells into rows.
type reader struct {
	head      []string
	passwords passwords
	ask       func(driver string) (Columns, error)
	columns   map[string]Columns // the answers of ask
}

// row reads one line.
func (rd *reader) row(cells []string, line int) (Row, error) {
	row := Row{Params: make(model.Params, len(cells)), Line: line}
	for i, cell := range cells {
		switch rd.head[i] {
		case colName:
			row.Name = strings.TrimSpace(cell)
		case colDriver:
			row.Driver = strings.TrimSpace(cell)
		}
	}
	if why := badName(row.Name); why != "" {
		return Row{}, lineError(line, "column %s: the name %s", colName, why)
	}
	columns, err := rd.columnsOf(row.Driver)
	if err != nil {
		return Row{}, lineError(line, "column %s: %w", colDriver, err)
	}
	for i, cell := range cells {
		if err := rd.cell(&row, columns, rd.head[i], cell); err != nil {
			return Row{}, lineError(line, "column %s: %w", rd.head[i], err)
		}
	}
	return row, nil
}

// badName says what is wrong with a machine's name.
func badName(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxName:
		return "is longer than " + strconv.Itoa(maxName) + " bytes"
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '/' }):
		return strconv.Quote(name) + " has a character that names do not have"
	}
	return ""
}

// columnsOf asks for a driver's columns once.
func (rd *reader) columnsOf(driver string) (Columns, error) {
	if c, ok := rd.columns[driver]; ok {
		return c, nil
	}
	c, err := rd.ask(driver)
	if err != nil {
		return nil, err
	}
	rd.columns[driver] = c
	return c, nil
}

// cell sets the param that one cell is for.
func (rd *reader) cell(row *Row, columns Columns, head, cell string) error {
	if cell == "" || head == colName || head == colDriver {
		return nil
	}
	if !utf8.ValidString(cell) {
		return errors.New("the cell is not UTF-8")
	}
	param, value, err := rd.value(columns, head, cell)
	if err != nil {
		return err
	}
	if row.Params.Has(param) {
		return errors.New("param " + param + " is set by another column already")
	}
	row.Params[param] = value
	return nil
}

// value finds the param a cell sets, and its value.
func (rd *reader) value(columns Columns, head, cell string) (string, any, error) {
	key := head
	if head == colPasswordFile {
		key = colPassword
	}
	switch head {
	case colAddress, colPort, colUsername, colPasswordFile:
		if columns[key] == "" {
			return "", nil, errors.New("this driver does not have it; leave the cell empty")
		}
	}
	switch head {
	case colAddress, colUsername:
		return columns[key], cell, nil
	case colPort:
		port, err := strconv.ParseUint(strings.TrimSpace(cell), 10, 16)
		if err != nil {
			return "", nil, errors.New("a port is a number from 0 to 65535")
		}
		return columns[key], json.Number(strconv.FormatUint(port, 10)), nil
	case colPasswordFile:
		password, err := rd.passwords.read(cell)
		return columns[key], password, err
	}
	return head, ParseValue(head, cell), nil
}

// ParseValue reads a param's value as text gives it: JSON where it parses, else
// the text itself. The value of a param that is a secret by its name is always
// the text itself: a password of digits is no number.
func ParseValue(param, text string) any {
	if model.SecretName(param) || !json.Valid([]byte(text)) {
		return text
	}
	var v any
	if err := model.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}
