package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/bougou/go-ipmi/pkg/command/app"

	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// told asks a BMC what it is.
func told(t *testing.T, addr netip.AddrPort, more ...model.Params) *info {
	t.Helper()
	result, err := ask(newProvider(t), getInfo, addr, more...)
	if err != nil {
		t.Fatal(err)
	}
	out, ok := result.(*info)
	if !ok {
		t.Fatalf("%#v", result)
	}
	return out
}

// What a BMC is, and what its machine takes, are told as it tells them, by reads
// alone.
func TestInfo(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true, Watts: 230, Device: bmc.Device{Manufacturer: 674, Product: 256, Major: 6, Minor: 10}})
	got := told(t, b.Addr())
	if got.FirmwareRevision != "6.10" || got.ManufacturerID != "674" || got.ProductID != 256 || got.DeviceID != 0x20 || got.DeviceRevision != 1 || got.IPMIVersion != "2.0" || got.Busy {
		t.Errorf("%+v", got)
	}
	if got.Watts == nil || *got.Watts != 230 || got.Identity == nil || got.Identity.Source != "system GUID" || got.Untold != nil {
		t.Errorf("%+v", got)
	}
	raw, err := json.Marshal(got)
	// The names under which the endpoint's metrics look for them.
	for _, want := range []string{`"firmwareRevision":"6.10"`, `"manufacturerId":"674"`, `"watts":230`} {
		if err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s, %v, want %s", raw, err, want)
		}
	}
	if n := b.Executed(bmc.SetBoot) + b.Executed(bmc.PowerOn) + b.Executed(bmc.PowerOff) + b.Executed(bmc.ChassisIdentify); n != 0 {
		t.Errorf("%d commands that change something", n)
	}
}

// A BMC without a power reading is told of all the same.
func TestInfoWithoutPowerReading(t *testing.T) {
	t.Parallel()
	got := told(t, startBMC(t, bmc.Options{}).Addr())
	if got.Watts != nil || got.ManufacturerID != "7154" || !strings.Contains(got.Untold["watts"], "C1h") || got.Identity == nil {
		t.Errorf("%+v", got)
	}
}

// What cannot be asked at all is an error, and no half answer.
func TestInfoOfABMCThatIsNotThere(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	result, err := ask(newProvider(t), getInfo, b.Addr(), model.Params{paramPassword: "wrong", "oob/timeout": 5})
	if model.KindOf(err) != model.DeviceAuth {
		t.Errorf("%v, %v", result, err)
	}
}

// The numbers are spelled as they are meant: the firmware's minor number and both of
// IPMI's are of decimal digits.
func TestInfoSpellings(t *testing.T) {
	for raw, want := range map[string]string{
		"20 81 06 10 02 df a2 02 00 00 01 00 22 61 00": `{"deviceId":32,"deviceRevision":1,"firmwareRevision":"6.10","firmwareAux":"00226100","ipmiVersion":"2.0","manufacturerId":"674","productId":256}`,
		"00 00 03 05 51 80 f2 1b 00 01 00":             `{"deviceId":0,"deviceRevision":0,"firmwareRevision":"3.05","ipmiVersion":"1.5","manufacturerId":"7154","productId":1}`,
		"20 01 81 99 02 80 ff ff 0f ff ff":             `{"deviceId":32,"deviceRevision":1,"firmwareRevision":"1.99","ipmiVersion":"2.0","manufacturerId":"1048575","productId":65535,"busy":true}`,
	} {
		var data []byte
		var res app.GetDeviceIDResponse
		if _, err := fmt.Sscanf(strings.ReplaceAll(raw, " ", ""), "%x", &data); err != nil {
			t.Fatal(err)
		}
		if err := res.Unpack(data); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(infoOf(&res)); err != nil || string(got) != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
}

// peerSays runs ipmitool, and returns what stands behind the words.
func peerSays(t *testing.T, addr netip.AddrPort, password string, args ...string) func(words string) string {
	t.Helper()
	options := []string{"-I", "lanplus", "-H", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()), "-U", testUser, "-L", "USER", "-E", "-N", "30", "-R", "1"}
	cmd := exec.CommandContext(t.Context(), needTool(t, "ipmitool", "ipmitool"), append(options, args...)...)
	cmd.Env = append(os.Environ(), "IPMITOOL_PASSWORD="+password, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ipmitool %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return func(words string) string {
		found := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(words) + `\s*: *(\S+)`).FindStringSubmatch(string(out))
		if found == nil {
			t.Errorf("ipmitool does not tell %s: %s", words, out)
			return ""
		}
		return found[1]
	}
}

// ipmitool tells the same of the same BMC, of ours and of OpenIPMI's.
func TestInfoAsIpmitoolTellsIt(t *testing.T) {
	t.Parallel()
	needTool(t, "ipmitool", "ipmitool")
	same := func(t *testing.T, addr netip.AddrPort, password string) *info {
		t.Helper()
		got := told(t, addr, model.Params{paramPassword: password})
		of := peerSays(t, addr, password, "mc", "info")
		for words, want := range map[string]string{
			"Device ID": fmt.Sprint(got.DeviceID), "Device Revision": fmt.Sprint(got.DeviceRevision), "Firmware Revision": got.FirmwareRevision,
			"IPMI Version": got.IPMIVersion, "Manufacturer ID": got.ManufacturerID, "Product ID": fmt.Sprint(got.ProductID), "Device Available": "yes",
		} {
			if text := of(words); text != want {
				t.Errorf("%s: %s, ipmitool says %s", words, want, text)
			}
		}
		return got
	}
	t.Run("ours", func(t *testing.T) {
		t.Parallel()
		b := startBMC(t, bmc.Options{On: true, Watts: 417, Device: bmc.Device{Manufacturer: 10876, Product: 2402, Major: 3, Minor: 5}})
		got := same(t, b.Addr(), testPassword)
		if text := peerSays(t, b.Addr(), testPassword, "dcmi", "power", "reading")("Instantaneous power reading"); got.Watts == nil || text != fmt.Sprint(*got.Watts) {
			t.Errorf("%+v, ipmitool says %s W", got, text)
		}
	})
	t.Run("ipmi_sim", func(t *testing.T) {
		t.Parallel()
		got := same(t, startIPMISim(t).addr, simPassword)
		if got.Identity == nil || got.Identity.ID != "efcdab89-6745-23a1-efcd-ab89674523a1" {
			t.Errorf("%+v", got)
		}
	})
}
