package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What Landlock is asked to keep a process from, but where a rule allows it.
const (
	readFile = unix.LANDLOCK_ACCESS_FS_READ_FILE
	readDir  = unix.LANDLOCK_ACCESS_FS_READ_DIR
	execute  = unix.LANDLOCK_ACCESS_FS_EXECUTE

	changeDir = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	makeDevices = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK // nobody may
	baseAccess  = readFile | readDir | execute | changeDir | makeDevices | unix.LANDLOCK_ACCESS_FS_WRITE_FILE

	// onFiles are those that have a meaning for what is no directory.
	onFiles = readFile | execute | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// since are the versions of Landlock that brought more to keep processes from.
var since = []struct {
	version       uintptr
	files, scoped uint64
}{
	{1, baseAccess, 0},
	{2, unix.LANDLOCK_ACCESS_FS_REFER, 0},
	{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE, 0},
	{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV, 0},
	{6, 0, unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL},
}

// version is the kernel's version of Landlock, 0 if it has none.
func version() uintptr {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return v
}

// Available tells what the kernel can do.
func Available() Level {
	files, scoped := handled(version())
	switch {
	case scoped != 0:
		return Processes
	case files != 0:
		return Files
	}
	return Privileges
}

// handled is what a version of Landlock can keep processes from.
func handled(v uintptr) (files, scoped uint64) {
	for _, row := range since {
		if v >= row.version {
			files, scoped = files|row.files, scoped|row.scoped
		}
	}
	return files, scoped
}

// confine limits the thread that calls it, and all processes that it starts.
func confine(rules Rules) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	if err := restrict(rules); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return mark()
}

// rulesetAttr is struct landlock_ruleset_attr of the kernel's version 6.
type rulesetAttr struct{ files, net, scoped uint64 }

// restrict has Landlock hold the thread to the rules, as far as the kernel's
// version can.
func restrict(rules Rules) error {
	attr := rulesetAttr{}
	attr.files, attr.scoped = handled(version())
	if attr.files == 0 {
		return nil
	}
	size := unsafe.Sizeof(attr)
	if attr.scoped == 0 { // an older kernel does not know the last field
		size = unsafe.Offsetof(attr.scoped)
	}
	if v := version(); v < 4 { // nor the one before
		size = unsafe.Offsetof(attr.net)
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return fmt.Errorf("cannot make its rules: %w", errno)
	}
	defer func() { _ = unix.Close(int(fd)) }() // nothing was written
	const read = readFile | readDir
	for _, row := range []struct {
		paths  []string
		access uint64
	}{{rules.Read, read}, {rules.Run, read | execute}, {rules.Write, attr.files &^ (execute | makeDevices)}} {
		for _, path := range row.paths {
			if err := allow(int(fd), path, row.access); err != nil {
				return fmt.Errorf("cannot allow %s: %w", path, err)
			}
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("cannot take its rules: %w", errno)
	}
	return nil
}

// allow adds a rule for a file, or a directory and all below it.
func allow(ruleset int, path string, access uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // it stands for a path
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= onFiles
	}
	beneath := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&beneath)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// mark puts a seccomp filter on the thread that lets everything pass. It is only
// counted: a process can neither get rid of it nor start another without it, so
// that whoever is confined can be told at a socket, whatever it has become.
func mark() error {
	pass := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	program := unix.SockFprog{Len: 1, Filter: &pass}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	if errors.Is(err, unix.EINVAL) { // a kernel without filters
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot mark it: %w", err)
	}
	return nil
}

// Marked reports whether a process, or one that it comes from, was started within
// rules by this one.
func Marked(pid int) (bool, error) {
	theirs, err := filters(strconv.Itoa(pid))
	if err != nil {
		return false, err
	}
	ours, err := filters("self")
	return theirs > ours, err
}

// filters counts the seccomp filters of a process. Old kernels do not tell.
func filters(pid string) (int, error) {
	f, err := os.Open("/proc/" + pid + "/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "Seccomp_filters:"); ok {
			return strconv.Atoi(strings.TrimSpace(text))
		}
	}
	return 0, nil
}

// forbidCore has a process leave no core file, which would hold its secrets.
func forbidCore(pid int) error {
	err := unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	if errors.Is(err, unix.ESRCH) { // it has ended already
		return nil
	}
	return err
}

// forbidTracing keeps processes of the same user out of this one, as if it were
// another user's. What it starts is not kept so: a new program ends it.
func forbidTracing() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot forbid tracing: %w", err)
	}
	return nil
}

// firstThread reports whether the caller runs on the process's first thread.
func firstThread() bool { return unix.Gettid() == unix.Getpid() }
