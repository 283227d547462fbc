package endpoint

import (
	"strings"
	"testing"
)

// What would be taken for something else is refused, in the words that the
// reference's clients know.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	one := "/machines/" + uuid
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/machines?%zz=1", "", 400, `"cannot read the query: invalid URL escape`},
		{"GET", "/machines?Name=m1;limit=0", "", 400, `"cannot read the query: invalid semicolon`},
		{"GET", "/runs?%zz", "", 400, "cannot read the query"},
		{"GET", one + "?%zz", "", 400, "cannot read the query"},
		{"PATCH", one, "null", 400, `"Type":"PATCH","Messages":["cannot parse JSON patch: null is no list of operations"]`},
		{"PATCH", one + "/params", "null", 400, "cannot parse JSON patch"},
		{"PATCH", one, "[]", 200, uuid},
		{"GET", "/machines/fred/actions", "", 404, `{"Model":"machines","Key":"fred","Type":"GET","Messages":["Not Found"],"Code":404}`},
		{"GET", "/machines/fred/actions/poweron", "", 404, `{"Model":"machines","Key":"fred","Type":"GET","Messages":["Not Found"],"Code":404}`},
		{"GET", "/machines/Name:m1/actions/warp", "", 404, `{"Model":"machines","Key":"Name:m1","Type":"GET","Messages":["warp: Not Found"],"Code":404}`},
		{"GET", "/system/actions/warp", "", 404, `"Type":"GET","Messages":["warp: Not Found"],"Code":404`},
		{"POST", "/params", `{"Name":"a//b"}`, 422, `"Type":"ValidationError","Messages":["Invalid name \"a//b\": a part between slashes is empty or dots"]`},
		{"POST", "/params", `{"Name":"a/../b"}`, 422, "Invalid name"},
		{"POST", one + "/params/x%0Ay", "1", 400, `"Type":"POST","Messages":["Key \"x\\ny\": a param's name has at most 255 bytes and no control characters or direction marks"]`},
		{"POST", one + "/params/x%00y", "1", 400, "no control characters"},
		{"POST", one + "/params/x%ff", "1", 400, "cannot read the path: it is not UTF-8"},
		{"POST", one + "/params", `{"` + strings.Repeat("x", maxName+1) + `":1}`, 400, "at most 255 bytes"},
		{"POST", "/machines", `{"Name":"m2","Params":{"a\u001bb":1}}`, 400, "no control characters"},
		{"POST", one + "/params/a%E2%80%AEb", "1", 400, "direction marks"},
		{"GET", "/machines/a%E2%80%AEb%1B", "", 404, `"Key":"a b ","Type":"GET"`},
		{"POST", one + "/params/größe", "1", 200, "1"},
		{"POST", "/events", `{"Type":"a","Action":"b","Key":"c","Principal":"forged"}`, 200, `"Key":"c","Principal":"user:`},
		{"GET", "/events/recent?limit=0", "", 200, "[]\n"},
		{"GET", "/events/recent?limit=1", "", 200, "}]\n"},
		{"GET", "/files", "", 501, `{"Model":"files","Key":"","Type":"GET","Messages":["files are neither listed nor uploaded here`},
		{"POST", "/files/a/b", "bytes", 501, `{"Model":"files","Key":"a/b","Type":"POST","Messages":["files are neither listed nor uploaded here`},
		{"DELETE", "/files/a", "", 501, `"Type":"DELETE"`},
		{"GET", "/files/a", "", 404, `{"Model":"files","Key":"a","Type":"GET","Messages":["Not Found"],"Code":404}`},
		{"GET", one + "/params?params=toy%2Faddress,none", "", 200, `{"toy/address":`},
		{"GET", one + "/params?params=none", "", 200, "{}"},
	} {
		resp, raw := r.askLocal(c.method, c.path, c.body)
		if resp.StatusCode != c.status || !strings.Contains(string(raw), c.want) || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %s: %.300s\nwant %d %s", c.method, c.path, resp.StatusCode, resp.Header.Get("Content-Type"), raw, c.status, c.want)
		}
	}
}
