package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// helper is the program that acts as VBoxManage, and as one that is watched. ""
// stands for this one. TestMain sets it before any test runs, and nobody after it.
var helper string

// buildHelper makes the helper in a folder: this program without the race
// detector, which takes four times as long to start, and VBoxManage is started
// thousands of times. What the plugin does is watched all the same, because it
// runs here. Where there is no go command, this program has to do.
func buildHelper(dir string) (string, error) {
	if !raced {
		return "", nil
	}
	tool, err := exec.LookPath("go")
	if errors.Is(err, exec.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot build VBoxManage for the tests: %w", err)
	}
	path := filepath.Join(dir, "helper")
	if out, err := exec.Command(tool, "test", "-c", "-race=false", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build VBoxManage for the tests: %w: %s", err, out)
	}
	return path, nil
}

// helperPath is the path of the program that acts as VBoxManage.
func helperPath() (string, error) {
	if helper != "" {
		return helper, nil
	}
	return os.Executable()
}
