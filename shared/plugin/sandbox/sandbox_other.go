//go:build !linux

package sandbox

// Available tells what the kernel can do: nothing that is used here.
func Available() Level { return None }

// Marked reports whether a process is confined; nobody is.
func Marked(int) (bool, error) { return false, nil }

// confine does nothing.
func confine(Rules) error { return nil }

// forbidCore does nothing.
func forbidCore(int) error { return nil }

// forbidTracing does nothing.
func forbidTracing() error { return nil }

// firstThread is of no matter.
func firstThread() bool { return false }
