package vbox

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// cmdGetExtra prints what was kept with a virtual machine.
func cmdGetExtra(w *world, r *run) error {
	m, err := r.machine(w)
	if err != nil {
		return err
	}
	if r.arg(2) == "enumerate" {
		for _, key := range slices.Sorted(maps.Keys(m.Extra)) {
			fmt.Fprintf(&r.stdout, "Key: %s, Value: %s\n", key, m.Extra[key])
		}
		return nil
	}
	r.printValue(m.Extra[r.arg(2)])
	return nil
}

// printValue prints a value, or that there is none.
func (r *run) printValue(value string) {
	if value == "" {
		r.stdout.WriteString("No value set!\n")
		return
	}
	fmt.Fprintf(&r.stdout, "Value: %s\n", value)
}

// cmdSetExtra keeps a value with a virtual machine, also while it runs.
func cmdSetExtra(w *world, r *run) error {
	m, err := r.machine(w)
	if err != nil {
		return err
	}
	if len(r.args) < 3 {
		return &plainError{"Not enough parameters", 2}
	}
	w.executed(m, "extradata", r.args)
	if r.arg(3) == "" {
		delete(m.Extra, r.arg(2))
		return nil
	}
	m.Extra[r.arg(2)] = r.arg(3)
	return nil
}

// cmdGuestProperty reads and sets properties.
func cmdGuestProperty(w *world, r *run) error {
	m, err := r.machine(w)
	if err != nil {
		return err
	}
	switch r.arg(1) {
	case "get":
		r.printValue(m.properties()[r.arg(3)])
	case "set":
		m.Guest[r.arg(3)] = r.arg(4)
	case "enumerate":
		all := m.properties()
		if len(all) == 0 {
			r.stdout.WriteString("No properties found.\n")
		}
		widest := 0
		for key := range all {
			widest = max(widest, len(key))
		}
		for _, key := range slices.Sorted(maps.Keys(all)) {
			flags := ""
			if strings.HasPrefix(key, "/VirtualBox/") {
				flags = " TRANSIENT, RDONLYGUEST"
			}
			fmt.Fprintf(&r.stdout, "%-*s = '%s' @ %sZ%s\n", widest, key, all[key], m.ChangedAt.UTC().Format("2006-01-02T15:04:05.000"), flags)
		}
	default:
		return &plainError{"Unknown subcommand: " + r.arg(1), 2}
	}
	return nil
}

// properties are those that were set, and those of a process.
func (m *machine) properties() map[string]string {
	all := map[string]string{}
	for key, value := range m.Guest {
		if !strings.HasPrefix(key, "/VirtualBox/") || m.on() {
			all[key] = value
		}
	}
	if !m.on() {
		return all
	}
	for key, n := range map[string]int{"ResetCounter": m.Resets, "ResumeCounter": m.Resumes} {
		if n > 0 {
			all["/VirtualBox/VMInfo/"+key] = strconv.Itoa(n)
		}
	}
	return all
}
