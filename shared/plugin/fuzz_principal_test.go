package plugin

import (
	"bytes"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzVerify signs a request for any principal and changes one header: what was
// signed is understood as it was meant, what was changed is refused.
func FuzzVerify(f *testing.F) {
	f.Add("user:x", "machines:console:*", "x=1&token=a", "X-Oob-Time", "0")
	f.Add("a\nb", "c,d", "%zz", "X-Oob-Claims", "c,d")
	f.Add("", "", "", "X-Oob-Signature", "")
	// The same each time: what a fuzzer tries twice must go the same way twice.
	key, now := bytes.Repeat([]byte{7}, keySize), time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, name, claim, query, header, value string) {
		v := newVerifier(key, func() time.Time { return now })
		r := httptest.NewRequest("GET", "/plugin-apis/con/x", nil)
		r.URL.RawQuery = url.QueryEscape(query)
		r.RequestURI = r.URL.RequestURI()
		sign(key, r, Principal{Name: name, Claims: []string{claim}}, now)
		forged := r.Clone(t.Context())
		if old := r.Header.Get(header); strings.HasPrefix(header, headerPrefix) && old != "" && old != value {
			forged.Header.Set(header, value)
			if p, e := v.verify(forged); e == nil {
				t.Fatalf("%s=%q passed for %+v", header, value, p)
			}
		}
		p, e := v.verify(r)
		if name == "" {
			if e == nil {
				t.Fatal("nobody passed")
			}
			return
		}
		if e != nil || p.Name != name || claim != "" && (len(p.Claims) != 1 || p.Claims[0] != claim) {
			t.Fatalf("%q %q became %+v, %v", name, claim, p, e)
		}
	})
}

// FuzzWithoutToken takes the token out of any query, and nothing else.
func FuzzWithoutToken(f *testing.F) {
	f.Add("a=1&token=x&b=2")
	f.Add("%74oken=x&&token")
	f.Add("tok%65n;token=a&=")
	f.Fuzz(func(t *testing.T, query string) {
		got := withoutToken(query)
		values, _ := url.ParseQuery(got)
		if values.Has("token") {
			t.Fatalf("%q keeps it: %q", query, got)
		}
		before, _ := url.ParseQuery(query)
		before.Del("token")
		if before.Encode() != values.Encode() {
			t.Fatalf("%q lost more than the token: %q", query, got)
		}
	})
}
