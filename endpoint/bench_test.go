package endpoint

import (
	"testing"

	"provision-plugins/shared/client"
)

// benchmarkAction measures one caller's actions over the unix socket, through
// the endpoint and a plugin process, and back.
func benchmarkAction(b *testing.B, command string) {
	r := start(b, "toy")
	r.put("state", "on")
	request := client.ActionRequest{Prefix: "machines", Key: r.machine("m1", nil), Command: command}
	for b.Loop() {
		if _, err := r.c.Invoke(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) { benchmarkAction(b, "powerstatus") }

func BenchmarkChange(b *testing.B) { benchmarkAction(b, "poweron") }

func BenchmarkListMachines(b *testing.B) {
	r := start(b, "toy")
	for i := range 100 {
		r.machine("m"+itoa(i), nil)
	}
	for b.Loop() {
		if err := r.c.Get(b.Context(), "machines", nil); err != nil {
			b.Fatal(err)
		}
	}
}
