// Package inventory reads the CSV of machines that `oob machine add --csv` and
// a plugin's `run --targets` share.
//
// The first row names the columns: name, driver, address, port, username and
// password-file, then any param names. Which params the columns address, port,
// username and password-file set depends on the row's driver.
package inventory

import (
	"io"

	"provision-plugins/shared/model"
)

// Columns tells which param a column sets: address, port, username, password.
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

// Read reads rows. Files named by password-file are looked for in dir; columns
// returns the columns of a driver, and is asked once for each.
func Read(r io.Reader, dir string, columns func(driver string) (Columns, error)) ([]Row, error) {
	return nil, nil
}
