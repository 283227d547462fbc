// Package sandbox starts processes that can reach less of the machine than who
// starts them. On Linux a process, and all that it starts, cannot gain
// privileges, leaves no core, and where the kernel has Landlock it reads, writes
// and runs only what it was given, and neither signals nor traces processes
// outside. Elsewhere processes start as they always do.
package sandbox

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
)

// Rules are what a process may reach in the file system. Paths that are not
// there are passed over.
type Rules struct {
	Read  []string // files and directories that it may read
	Run   []string // that it may read, and run programs of
	Write []string // that it may read, change and make files and sockets in
}

// System are the rules that programs need to run at all: the system's programs,
// libraries, certificates and names, and the devices that everybody may use.
func System() Rules {
	return Rules{
		Read: []string{
			"/etc", "/proc", "/sys", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/run/nscd", "/var/lib/ca-certificates",
		},
		Run:   []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store"},
		Write: []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"},
	}
}

// With returns the rules and some more.
func (r Rules) With(more Rules) Rules {
	join := func(a, b []string) []string { return append(append([]string{}, a...), b...) }
	return Rules{Read: join(r.Read, more.Read), Run: join(r.Run, more.Run), Write: join(r.Write, more.Write)}
}

// Level is how far the kernel can keep processes inside.
type Level int

// The levels, each with those before it.
const (
	None       Level = iota // as they always do
	Privileges              // they gain no privileges and leave no core
	Files                   // they reach only what their rules name
	Processes               // they neither signal nor reach abstract sockets outside
)

// String describes a level in a few words.
func (l Level) String() string {
	switch l {
	case Privileges:
		return "no new privileges, no core files"
	case Files:
		return "no new privileges, no core files, Landlock for files"
	case Processes:
		return "no new privileges, no core files, Landlock for files, signals and abstract sockets"
	}
	return "none"
}

// Start starts a process within rules; nil rules start it as it always does. What
// the kernel cannot hold it to is left out: Available tells what it can.
//
// The limits are set on a thread that ends when the process has started: it is
// the child's to inherit them, and no other goroutine ever runs there.
func Start(cmd *exec.Cmd, rules *Rules) error {
	if rules == nil {
		return cmd.Start()
	}
	var err error
	onThread(func() {
		if err = confine(*rules); err != nil {
			err = fmt.Errorf("cannot confine it: %w", err)
			return
		}
		err = cmd.Start()
	})
	if err != nil {
		return err
	}
	if err := forbidCore(cmd.Process.Pid); err != nil {
		return errors.Join(fmt.Errorf("cannot forbid its core file: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	return nil
}

// Close closes this process's memory and environment, which hold secrets: it, and
// what it starts from now on, leave no core file, and no other process of its user
// traces it or opens its files in /proc.
func Close() error { return errors.Join(forbidCore(0), forbidTracing()) }

// onThread calls a function on a thread that ends with it, and is not the
// process's first: by that one others know the process, and it never ends.
func onThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if firstThread() {
			onThread(do) // not here: this thread is held until then
			runtime.UnlockOSThread()
			return
		}
		do() // and not unlocked: the thread ends with the goroutine
	}()
	<-done
}
