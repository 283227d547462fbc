package vbox

import (
	"cmp"
	"io"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

// Options say which VBoxManage to run, as whom, and within which bounds. The
// zero value runs the VBoxManage on PATH as the present user.
type Options struct {
	// Command is the path of VBoxManage. Default: VBoxManage on PATH.
	Command string
	// User owns the virtual machines. Commands run through sudo when that is
	// another user. Default: the present user.
	User string
	// Concurrency is how many commands run at once. Default 4.
	Concurrency int
	// ReadTimeout bounds a command that changes nothing. Default 10 s.
	ReadTimeout time.Duration
	// StartTimeout bounds the start of a virtual machine. Default 60 s.
	StartTimeout time.Duration
	// ChangeTimeout bounds every other command. Default 30 s.
	ChangeTimeout time.Duration
	// ReadTries is how often a read is tried while VirtualBox is between two
	// states. Default 5.
	ReadTries int
	// LockedFor is how long a change is tried again while another session holds
	// the virtual machine. Default 5 s.
	LockedFor time.Duration
	// Gap is the pause before another try. Default 200 ms.
	Gap time.Duration
	// LockDir holds a lock file for each virtual machine. Default: oob-vbox-UID
	// in the folder of temporary files, 0700.
	LockDir string
	// Device is the kernel driver's character device. Default /dev/vboxdrv.
	Device string
	// Logger gets one line a command, at debug. Default: none.
	Logger *slog.Logger
}

// withDefaults fills what is not given.
func (o Options) withDefaults() Options {
	o.Concurrency = cmp.Or(o.Concurrency, 4)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 10*time.Second)
	o.StartTimeout = cmp.Or(o.StartTimeout, time.Minute)
	o.ChangeTimeout = cmp.Or(o.ChangeTimeout, 30*time.Second)
	o.ReadTries = cmp.Or(o.ReadTries, 5)
	o.LockedFor = cmp.Or(o.LockedFor, 5*time.Second)
	o.Gap = cmp.Or(o.Gap, 200*time.Millisecond)
	o.Device = cmp.Or(o.Device, "/dev/vboxdrv")
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return o
}

// Manager runs VBoxManage for one user's virtual machines. Its methods may be
// called from any goroutine. It holds nothing open between calls.
type Manager struct {
	opts  Options
	slots chan struct{} // one element for each command that runs
	locks locks
	kill  func(pid int) error // SIGKILL, below 0 to a group; another in tests

	mu      sync.Mutex // guards version
	version *Version   // what was read once
}

// New makes a Manager. It looks for nothing yet: a VBoxManage that is missing is
// told by the first command.
func New(o Options) *Manager {
	o = o.withDefaults()
	return &Manager{opts: o, slots: make(chan struct{}, o.Concurrency), kill: sigkill, locks: locks{dir: o.LockDir, held: map[string]*held{}}}
}

// sigkill kills a process, or a group by its number below 0.
func sigkill(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
