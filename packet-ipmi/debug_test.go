package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

// packngo has a variable that makes it print every answer, with the root password of a
// device in it. The plugin does not heed it: neither what `run` prints nor what the
// plugin logs has the password, or the key.
func TestDebugVariableIsNotHeeded(t *testing.T) {
	t.Parallel()
	sim := startSim(t, packet.Options{})
	id := sim.Add("default", 1, packet.Device{})[0]
	d, _ := sim.Device(id)
	table := "name,packet/uuid,packet/api-key\nm1," + id + "," + goodKey + "\n"
	file := t.TempDir() + "/machines.csv"
	if err := os.WriteFile(file, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "run", model.PowerStatus, "--targets", file, "--param", paramURL+"="+sim.URL(), "--log", "trace")
	cmd.Env = append(os.Environ(), asPlugin+"=1", debugVariable+"=1")
	cmd.WaitDelay = 30 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	text := out.String()
	if err != nil || !strings.Contains(text, "m1") || sim.Requests() == 0 {
		t.Fatalf("%v: %s", err, text)
	}
	for what, secret := range map[string]string{"root password": d.Password(), "key": goodKey, "answer": "root_password"} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s is printed: %.2000s", what, text)
		}
	}
}
