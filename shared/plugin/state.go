package plugin

import (
	"fmt"
	"os"
	"path/filepath"

	"provision-plugins/shared/model"
)

// stateRoot is where state directories are when nobody says otherwise.
const stateRoot = "/var/lib/oob"

// StateDir returns the directory in which the plugin NAME keeps what must
// outlive its process: the one its host gave it, else the one the param
// NAME/state-dir names, else /var/lib/oob/NAME. It is made, private to the user,
// if it is not there, and is known to be writable. A plugin that promises
// durability hands the error on from Config; others log it and do without.
func StateDir(name string, params model.Params) (string, error) {
	param := name + "/state-dir"
	dir, err := params.String(param, filepath.Join(stateRoot, name))
	if err != nil {
		return "", err
	}
	if given := os.Getenv(EnvStateDir); given != "" {
		dir = given
	}
	if !filepath.IsAbs(dir) {
		return "", model.Errorf(model.Invalid, "cannot keep state in %q: give %s or %s an absolute path", cut(dir, 256), EnvStateDir, param)
	}
	if err := writable(dir); err != nil {
		return "", model.Errorf(model.Invalid, "cannot keep state in %s: %w; make it writable, or name another one by %s or %s", dir, err, EnvStateDir, param)
	}
	return dir, nil
}

// writable makes dir if need be, and tries it out.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return err
	}
	_, err = f.WriteString("state\n") // a full disk tells only now
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if removeErr := os.Remove(f.Name()); err == nil {
		err = removeErr
	}
	if err != nil {
		return fmt.Errorf("it cannot be written to: %w", err)
	}
	return nil
}
