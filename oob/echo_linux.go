package main

import "golang.org/x/sys/unix"

// noEcho has a terminal show nothing of what is typed, until restore is called.
// It is called before a question is printed: whoever answers fast is not shown
// either.
func noEcho(fd int) (restore func() error, err error) {
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return nil, err
	}
	return func() error { return unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}
