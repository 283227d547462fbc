package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// bmcText is what is answered about a BMC.
func bmcText(t *testing.T, b BMC) string {
	t.Helper()
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/ipmi", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	problems, err := promlint.New(strings.NewReader(w.Body.String())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	return w.Body.String()
}

func TestTheMetricsOfABMC(t *testing.T) {
	t.Parallel()
	on, watts := true, 231.0
	text := bmcText(t, BMC{
		Up: map[string]bool{CollectChassis: true, CollectDCMI: false}, Took: 250 * time.Millisecond, Power: &on, Watts: &watts,
		Info: &BMCInfo{FirmwareRevision: "2.80", ManufacturerID: "674 (Dell\xff Inc.)", SystemFirmware: "N/A"},
	})
	wantLines(t, text,
		`ipmi_up{collector="chassis"} 1`, `ipmi_up{collector="dcmi"} 0`, `ipmi_scrape_duration_seconds 0.25`,
		`ipmi_chassis_power_state 1`, `ipmi_dcmi_power_consumption_current_watts 231`,
		`ipmi_bmc_info{firmware_revision="2.80",manufacturer_id="674 (Dell Inc.)",system_firmware_version="N/A"} 1`,
	)
}

// What is not known is not shown as 0: a machine that does not answer is not off.
func TestABMCThatIsSilent(t *testing.T) {
	t.Parallel()
	text := bmcText(t, BMC{Up: map[string]bool{CollectChassis: false}, Took: time.Second})
	wantLines(t, text, `ipmi_up{collector="chassis"} 0`)
	for _, no := range []string{"power_state", "watts", "bmc_info"} {
		if strings.Contains(text, no) {
			t.Errorf("%s is shown: %s", no, text)
		}
	}
}
