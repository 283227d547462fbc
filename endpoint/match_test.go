package endpoint

import (
	"net/http"
	"strings"
	"testing"
)

// A change with an If-Match is made of nothing but what it names.
func TestChangesOfWhatIsNamed(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	const patch = `[{"op":"replace","path":"/Description","value":"x"}]`
	tagOf := func(path string) string {
		resp, _ := r.askLocal(http.MethodHead, path, "")
		return resp.Header.Get("ETag")
	}
	one := "/machines/" + uuid
	for _, c := range []struct{ method, path, of, body string }{
		{"PATCH", one, one, patch},
		{"PATCH", "/machines/Name:m1", one, patch},
		{"PUT", one, one, `{"Name":"m1"}`},
		{"PATCH", one + "/params", one, `[{"op":"add","path":"/x","value":1}]`},
		{"POST", one + "/params", one, `{"x":2}`},
		{"POST", one + "/params/x", one, `3`},
		{"DELETE", one + "/params/x", one, ""},
		{"PATCH", "/meta" + one, one, `[{"op":"add","path":"/k","value":"v"}]`},
		{"PUT", "/meta" + one, one, `{}`},
		{"PATCH", "/plugins/toy", "/plugins/toy", patch},
		{"PATCH", "/profiles/global", "/profiles/global", patch},
		{"DELETE", one, one, ""},
	} {
		tag := tagOf(c.of)
		for _, other := range []string{`"no"`, "W/" + tag, `"a", "b"`, strings.Trim(tag, `"`), ""} {
			resp, raw := r.askLocal(c.method, c.path, c.body, "If-Match", other)
			if resp.StatusCode != 412 || !strings.Contains(string(raw), `"Type":"`+c.method+`","Messages":["Precondition failed`) {
				t.Errorf("%s %s, %q: %d: %s", c.method, c.path, other, resp.StatusCode, raw)
			}
		}
		if tagOf(c.of) != tag {
			t.Errorf("%s %s: a refused change was made", c.method, c.path)
		}
		if resp, raw := r.askLocal(c.method, c.path, c.body, "If-Match", `"no" , `+tag); resp.StatusCode != 200 {
			t.Errorf("%s %s: %d: %s", c.method, c.path, resp.StatusCode, raw)
		}
		if c.method != http.MethodDelete && tagOf(c.of) == tag && !strings.HasPrefix(c.path, "/plugins") && c.method != http.MethodPut {
			t.Errorf("%s %s: the tag is still %s", c.method, c.path, tag)
		}
	}
	if resp, _ := r.askLocal("PATCH", "/profiles/global", patch, "If-Match", "*"); resp.StatusCode != 200 {
		t.Errorf("any: %d", resp.StatusCode)
	}
	if resp, _ := r.askLocal("PATCH", "/profiles/nobody", patch, "If-Match", "*"); resp.StatusCode != 404 {
		t.Errorf("nobody: %d", resp.StatusCode)
	}
	if resp, _ := r.askLocal("POST", "/profiles", `{"Name":"new"}`, "If-Match", `"no"`); resp.StatusCode != 201 {
		t.Errorf("what is made changes nothing: %d", resp.StatusCode)
	}
}

// Of writers who all saw the same revision, one writes.
func TestOneOfManyWritersWins(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.fleet(1)
	resp, _ := r.askLocal("GET", "/machines/Name:m0", "")
	statuses := make(chan int)
	const writers = 16
	for range writers {
		go func() {
			got, _ := r.askLocal("POST", "/machines/Name:m0/params/x", "1", "If-Match", resp.Header.Get("ETag"))
			statuses <- got.StatusCode
		}()
	}
	count := map[int]int{}
	for range writers {
		count[<-statuses]++
	}
	if count[200] != 1 || count[412] != writers-1 {
		t.Errorf("statuses %v", count)
	}
}

// The answer to a change has the tag that the next one can be made of.
func TestChangesAnswerTheirTag(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	tagOf := func(status int, method, path, body string, header ...string) string {
		resp, raw := r.askLocal(method, path, body, header...)
		if resp.StatusCode != status {
			t.Fatalf("%s %s: %d: %s", method, path, resp.StatusCode, raw)
		}
		return resp.Header.Get("ETag")
	}
	made := tagOf(201, "POST", "/profiles", `{"Name":"prof"}`)
	put := tagOf(200, "PUT", "/profiles/prof", `{"Name":"prof","Description":"x"}`, "If-Match", made)
	patched := tagOf(200, "PATCH", "/profiles/prof", `[{"op":"add","path":"/Description","value":"y"}]`, "If-Match", put)
	set := tagOf(200, "POST", "/profiles/prof/params/size", `5`, "If-Match", patched)
	for i, tag := range []string{made, put, patched, set} {
		if tag == "" || i > 0 && tag == made {
			t.Errorf("tag %d is %q", i, tag)
		}
	}
	if shown := tagOf(200, "GET", "/profiles/prof", ""); shown != set {
		t.Errorf("it is shown with %s, and was changed with %s", shown, set)
	}
	tagOf(412, "DELETE", "/profiles/prof", "", "If-Match", made)
	tagOf(200, "DELETE", "/profiles/prof", "", "If-Match", set)
	if tag := tagOf(200, "PATCH", "/plugins/toy", `[{"op":"add","path":"/Description","value":"y"}]`); tag != "" {
		t.Errorf("a plugin's tag is %s: its state is in it", tag)
	}
}
