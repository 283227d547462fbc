package redfish_test

import (
	"net/http"
	"strings"
	"testing"

	"provision-plugins/sim/redfish"
)

// FuzzRequest sends requests of all kinds: each is answered, none with an error of the
// service's own, and the service goes on.
func FuzzRequest(f *testing.F) {
	for _, c := range []struct{ method, path, body string }{
		{"GET", "", ""},
		{"GET", "/Systems?$skip=1&$top=2&$expand=.", ""},
		{"POST", "/Systems/1/Actions/ComputerSystem.Reset", `{"ResetType":"On"}`},
		{"PATCH", "/Systems/1", `{"Boot":{"BootSourceOverrideEnabled":"Once","BootSourceOverrideTarget":"Pxe"}}`},
		{"PATCH", "/Systems/1", `{"AssetTag":{"a":[1,null]},"IndicatorLED":null}`},
		{"PATCH", "/AccountService/Accounts/1", `{"Enabled":true,"Oem":{}}`},
		{"POST", "/SessionService/Sessions", `{"UserName":"admin","Password":"password"}`},
		{"DELETE", "/SessionService/Sessions/1", ""},
		{"POST", "/AccountService/Accounts", `{"UserName":"a","Password":"b","RoleId":"Operator"}`},
		{"POST", "/Managers/BMC/VirtualMedia/CD/Actions/VirtualMedia.InsertMedia", `{"Image":"http://h/i.iso"}`},
		{"PATCH", "/Systems/1/Bios/Settings", `{"Attributes":{"A":{"B":1}}}`},
		{"PUT", "/Systems/1/../../v1", `[`},
		{"GET", "/TaskService/TaskMonitors/1", ""},
	} {
		f.Add(c.method, c.path, c.body)
	}
	fleet := start(f, redfish.Options{RebootTime: -1, Systems: 2})
	f.Fuzz(func(t *testing.T, method, path, body string) {
		p := dial(t, fleet, 0, nil)
		req, err := http.NewRequestWithContext(t.Context(), method, p.b.URL(), strings.NewReader(body))
		if err != nil {
			return // no method
		}
		req.URL.Path, req.URL.RawQuery, _ = strings.Cut("/redfish/v1"+path, "?")
		req.SetBasicAuth("admin", "password")
		resp, err := p.http.Do(req)
		if err != nil {
			return // no request that a client sends
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode >= http.StatusInternalServerError && resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s %s %q: status %d", method, path, body, resp.StatusCode)
		}
		p.basic = false
		p.get("/redfish/v1")
	})
}
