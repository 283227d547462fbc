package fleet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

const (
	// paramDriver is the param that the column driver sets.
	paramDriver = "oob/driver"
	// The columns beside params that an inventory does not know: it takes them
	// for params.
	colDescription = "description"
	colProfiles    = "profiles"
)

// columnWords are columns that are no params, so that no param may be called so.
var columnWords = []string{"name", "driver", "address", "port", "username", "password", "password-file", colDescription, colProfiles}

// maxColumns is how many columns an inventory has at most.
const maxColumns = 256

// WriteCSV writes machines as the CSV that `machine add` and `ipmi run` read,
// too. What has no column there is left out: lost names it.
func WriteCSV(w io.Writer, machines []Machine) (lost []string, err error) {
	head, lost := columnsOf(machines)
	if len(head) > maxColumns {
		return nil, model.Errorf(model.Invalid, "cannot write CSV: the machines have more than %d different params; write YAML", maxColumns-4)
	}
	out := bufio.NewWriter(w)
	writeRow(out, head)
	for _, m := range machines {
		cells := make([]string, len(head))
		for i, column := range head {
			if cells[i], err = m.cell(column); err != nil {
				return nil, model.Errorf(model.Invalid, "cannot write CSV: machine %s: %w; write YAML", m.Name, err)
			}
		}
		writeRow(out, cells)
	}
	if err := out.Flush(); err != nil {
		return nil, model.Errorf(model.Internal, "cannot write machines: %w", err)
	}
	return lost, nil
}

// columnsOf lists the columns that machines need, and their fields that have
// none.
func columnsOf(machines []Machine) (head, lost []string) {
	params, has := map[string]bool{}, map[string]bool{}
	for _, m := range machines {
		for name := range m.Params {
			params[name] = true
		}
		for field := range m.Fields {
			has[field] = true
		}
	}
	head = []string{"name", "driver"}
	for column, field := range map[string]string{colDescription: "Description", colProfiles: "Profiles"} {
		if has[field] {
			head = append(head, column)
		}
	}
	slices.Sort(head[2:])
	delete(params, paramDriver)
	head = append(head, slices.Sorted(maps.Keys(params))...)
	for _, field := range fields {
		if has[field] && !slices.Contains([]string{"Uuid", "Description", "Profiles"}, field) {
			lost = append(lost, field)
		}
	}
	return head, lost
}

// cell is what a machine has in a column.
func (m *Machine) cell(column string) (string, error) {
	switch column {
	case "name":
		return m.Name, nil
	case "driver":
		driver, ok := m.Params[paramDriver].(string)
		if !ok && m.Params[paramDriver] != nil {
			return "", fmt.Errorf("param %s is no text", paramDriver)
		}
		return driver, nil
	case colDescription:
		return valueCell(column, m.Fields["Description"])
	case colProfiles:
		return valueCell(column, m.Fields["Profiles"])
	}
	if slices.Contains(columnWords, column) {
		return "", fmt.Errorf("a column called %s is not for a param of that name", column)
	}
	return valueCell(column, m.Params[column])
}

// valueCell is the text that inventory.ParseValue reads as the value.
func valueCell(name string, value any) (string, error) {
	if value == nil {
		return "", nil
	}
	text, isText := value.(string)
	if isText && text != "" && !strings.Contains(text, "\r") && inventory.ParseValue(name, text) == any(text) {
		return text, nil
	}
	raw, err := model.Marshal(value)
	if err != nil {
		return "", err
	}
	if !same(inventory.ParseValue(name, string(raw)), value) {
		return "", fmt.Errorf("a cell cannot hold the value of %s", name)
	}
	return string(raw), nil
}

// writeRow writes a row, with quotes where a reader could take a cell for
// something else: the first for a comment, a blank at the beginning for nothing.
// An error is the writer's to keep.
func writeRow(w *bufio.Writer, cells []string) {
	for i, cell := range cells {
		if i > 0 {
			_ = w.WriteByte(',')
		}
		if strings.ContainsAny(cell, ",\"\n\r") || strings.TrimSpace(cell) != cell || strings.HasPrefix(cell, "#") {
			cell = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
		}
		_, _ = w.WriteString(cell)
	}
	_ = w.WriteByte('\n')
}

// OfRow is the machine of a row of an inventory.
func OfRow(row inventory.Row) (Machine, error) {
	m := Machine{Name: row.Name, Fields: map[string]any{}, Params: maps.Clone(row.Params), Line: row.Line}
	if value, ok := m.Params[colDescription]; ok {
		delete(m.Params, colDescription)
		text, isText := value.(string)
		if !isText {
			text = jsonText(value)
		}
		m.Fields["Description"] = text
	}
	if value, ok := m.Params[colProfiles]; ok {
		delete(m.Params, colProfiles)
		if text, isText := value.(string); isText {
			var list []any
			for name := range strings.SplitSeq(text, ",") {
				list = append(list, strings.TrimSpace(name))
			}
			value = list
		}
		m.Fields["Profiles"] = value
	}
	if row.Driver != "" {
		if _, twice := m.Params[paramDriver]; twice {
			return m, model.Errorf(model.Invalid, "cannot read inventory: line %d: param %s is set by the column driver already", row.Line, paramDriver)
		}
		m.Params[paramDriver] = row.Driver
	}
	err := m.check()
	if err == nil {
		_, err = m.New()
	}
	if err != nil {
		return m, model.Errorf(model.Invalid, "cannot read inventory: line %d: %w", row.Line, err)
	}
	return m, nil
}

// jsonText is a value as JSON.
func jsonText(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}
