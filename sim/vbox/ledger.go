package vbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// Entry is one thing that a host did.
type Entry struct {
	// VM is the virtual machine's UUID, "" if it concerns none.
	VM string
	// What is what was done: "start", "stop", "reset", "soft" (the button),
	// "soft off" (the guest's answer to it), "pause", "resume", "save",
	// "discard", "nmi", "modify", "storage", "create", "delete", "medium",
	// "second process" and so on.
	What string
	// Args are the arguments of the command, without VBoxManage.
	Args []string
}

// executed notes what was done.
func (w *world) executed(m *machine, what string, args []string) {
	e := Entry{What: what, Args: args}
	if m != nil {
		e.VM = m.UUID
	}
	w.ledger = append(w.ledger, e)
}

// writeLedger appends entries.
func (h *Host) writeLedger(entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, e := range entries {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(filepath.Join(h.dir, ledgerFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(lines.Bytes())
	return errors.Join(err, f.Close())
}

// Ledger returns everything that was done, in order.
func (h *Host) Ledger() ([]Entry, error) {
	var all []Entry
	// The host's lock keeps half a line from being read.
	err := h.change(func(*world) error {
		raw, err := os.ReadFile(filepath.Join(h.dir, ledgerFile))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(bytes.NewReader(raw))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e Entry
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				return err
			}
			all = append(all, e)
		}
		return lines.Err()
	})
	return all, err
}

// Executed counts how often something was done to a virtual machine, or with ""
// to any.
func (h *Host) Executed(vm, what string) (int, error) {
	all, err := h.Ledger()
	n := 0
	for _, e := range all {
		if e.What == what && (vm == "" || e.VM == vm) {
			n++
		}
	}
	return n, err
}
