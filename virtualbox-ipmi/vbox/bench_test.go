package vbox

import (
	"fmt"
	"os/exec"
	"testing"
)

// BenchmarkParseInfo reads the longest recorded showvminfo.
func BenchmarkParseInfo(b *testing.B) {
	out := recordings(b)["showvminfo-configured"].stdout
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseInfo(out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseBootLog reads a whole recorded VBox.log.
func BenchmarkParseBootLog(b *testing.B) {
	out := recordings(b)["showvminfo-log0"].stdout
	b.SetBytes(int64(len(out)))
	for b.Loop() {
		if log := ParseBootLog(out); len(log.Attempts) == 0 {
			b.Fatal("nothing was read")
		}
	}
}

// BenchmarkClassify reads a refusal.
func BenchmarkClassify(b *testing.B) {
	r := recordings(b)["a-modify-right-after"]
	for b.Loop() {
		if e := Classify(r.args, r.exit, r.stdout, r.stderr); e.Class != Locked {
			b.Fatal(e)
		}
	}
}

// BenchmarkInfo reads a simulated virtual machine by the Manager; what it takes
// over BenchmarkBareShow is the Manager's own.
func BenchmarkInfo(b *testing.B) {
	r := newRig(b, nil)
	for b.Loop() {
		if _, err := r.Info(b.Context(), r.vm); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareShow runs the same command and does nothing with it.
func BenchmarkBareShow(b *testing.B) {
	r := newRig(b, nil)
	for b.Loop() {
		if _, err := exec.CommandContext(b.Context(), r.host.Command(), "showvminfo", r.vm, "--machinereadable").Output(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSweep reads fifty virtual machines at once.
func BenchmarkSweep(b *testing.B) {
	r := newRig(b, nil)
	vms := []string{r.vm}
	for i := range 49 {
		vm, err := r.host.Create(fmt.Sprint("vm", i))
		if err != nil {
			b.Fatal(err)
		}
		vms = append(vms, vm)
	}
	for b.Loop() {
		errs := make(chan error)
		for _, vm := range vms {
			go func() {
				_, err := r.Info(b.Context(), vm)
				errs <- err
			}()
		}
		for range vms {
			if err := <-errs; err != nil {
				b.Fatal(err)
			}
		}
	}
}
