//go:build !linux

package main

import "golang.org/x/term"

// noEcho notes how a terminal is, for restore: what reads a password has it show
// nothing of that.
func noEcho(fd int) (restore func() error, err error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	return func() error { return term.Restore(fd, before) }, nil
}
