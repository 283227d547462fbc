package secret

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/nacl/box"

	"provision-plugins/shared/model"
)

// master makes a master key that all tests share.
func master(t testing.TB) *Master {
	t.Helper()
	m, err := NewMaster(bytes.Repeat([]byte{7}, keySize), "the test")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newBox makes a key pair and what is stored of it.
func newBox(t testing.TB, owner string) (*Box, []byte) {
	t.Helper()
	b, sealed, err := master(t).NewBox(owner)
	if err != nil {
		t.Fatal(err)
	}
	return b, sealed
}

// decoded is a value as it comes out of JSON.
func decoded(t testing.TB, text string) any {
	t.Helper()
	var v any
	if err := model.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The reference's own test vector: its private key, and what its code sealed.
func TestReferenceVector(t *testing.T) {
	m := master(t)
	own, err := base64.StdEncoding.DecodeString("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := m.Seal("machines/x", own)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.OpenBox("machines/x", stored)
	if err != nil {
		t.Fatal(err)
	}
	if got := base64.StdEncoding.EncodeToString(b.Public()); got != "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=" {
		t.Errorf("public key %s", got)
	}
	sealed := Parse(decoded(t, `{"Key":"ihSy8DLuH25l7pJIOKWeHys+2FwLdiTF84tJAn2b2hw=","Nonce":"3PT2lzSNn91yUzway0OlaZzcdA00TfYB","Payload":"hYyEfaSNuyynuaR+q2ASMGShiQD6LGmAUQ=="}`))
	if sealed == nil {
		t.Fatal("it is not read as sealed")
	}
	if got, err := b.Open("ipmi/password", sealed); err != nil || got != "hunter2" {
		t.Errorf("opened as %v, %v", got, err)
	}
}

func TestSealAndOpen(t *testing.T) {
	b, stored := newBox(t, "machines/m1")
	again, err := master(t).OpenBox("machines/m1", stored)
	if err != nil || !bytes.Equal(again.Public(), b.Public()) {
		t.Fatalf("the stored key is another: %v", err)
	}
	for _, text := range []string{`"hunter2"`, `""`, `5`, `9007199254740993`, `true`, `["a",{"b":"c"}]`, `{"user":"u","password":"p"}`, `"\u0000ü"`} {
		value := decoded(t, text)
		sealed, err := b.Seal("x/password", value)
		if err != nil {
			t.Fatal(err)
		}
		shown := Value(sealed)
		if raw, err := model.Marshal(shown); err != nil || strings.Contains(string(raw), "hunter2") {
			t.Errorf("%s: sealed as %s, %v", text, raw, err)
		}
		if got, err := again.Open("x/password", Parse(shown)); err != nil || !reflect.DeepEqual(got, value) {
			t.Errorf("%s: opened as %v, %v", text, got, err)
		}
		if twice, err := b.Seal("x/password", value); err != nil || bytes.Equal(twice.Payload, sealed.Payload) {
			t.Errorf("%s: sealed the same twice (%v)", text, err)
		}
	}
	if _, err := b.Seal("x", func() {}); err == nil {
		t.Error("a function was sealed")
	}
}

// A sealed value opens for its own object and its own param alone, and not when
// a bit of it has changed.
func TestWhatDoesNotOpen(t *testing.T) {
	b, _ := newBox(t, "machines/m1")
	other, _ := newBox(t, "machines/m2")
	sealed, err := b.Seal("bmc/password", "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	flipped := *sealed
	flipped.Payload = bytes.Clone(sealed.Payload)
	flipped.Payload[0] ^= 1
	cut := *sealed
	cut.Key = cut.Key[:31]
	empty := seal(t, b, nil)
	for name, try := range map[string]func() (any, error){
		"another object":      func() (any, error) { return other.Open("bmc/password", sealed) },
		"another param":       func() (any, error) { return b.Open("slack/bot-token", sealed) },
		"part of the name":    func() (any, error) { return b.Open("bmc/passwor", sealed) },
		"a bit":               func() (any, error) { return b.Open("bmc/password", &flipped) },
		"a short key":         func() (any, error) { return b.Open("bmc/password", &cut) },
		"nothing":             func() (any, error) { return b.Open("bmc/password", &model.SecureData{}) },
		"an empty text":       func() (any, error) { return b.Open("bmc/password", empty) },
		"no JSON":             func() (any, error) { return b.Open("bmc/password", seal(t, b, []byte("hunter2"))) },
		"half bound":          func() (any, error) { return b.Open("bmc/password", seal(t, b, []byte{bound})) },
		"bound to no JSON":    func() (any, error) { return b.Open("p", seal(t, b, []byte("\x01p\x00hunter2"))) },
		"bound without value": func() (any, error) { return b.Open("p", seal(t, b, []byte("\x01p\x00"))) },
	} {
		got, err := try()
		if model.KindOf(err) != model.Invalid || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s shows the value: %v", name, err)
		}
	}
}

// seal seals any text to a box, as a client does.
func seal(t testing.TB, b *Box, plain []byte) *model.SecureData {
	t.Helper()
	public, own, err := box.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	nonce := [boxNonce]byte{1}
	return &model.SecureData{Key: public[:], Nonce: nonce[:], Payload: box.Seal(nil, plain, &nonce, b.public(), own)}
}

func TestKeysOfOthersDoNotOpen(t *testing.T) {
	m := master(t)
	_, stored := newBox(t, "machines/m1")
	another, err := NewMaster(bytes.Repeat([]byte{8}, keySize), "elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() (*Box, error){
		"another owner":  func() (*Box, error) { return m.OpenBox("machines/m2", stored) },
		"another master": func() (*Box, error) { return another.OpenBox("machines/m1", stored) },
		"cut off":        func() (*Box, error) { return m.OpenBox("machines/m1", stored[:len(stored)-1]) },
		"a few bytes":    func() (*Box, error) { return m.OpenBox("machines/m1", stored[:5]) },
		"nothing":        func() (*Box, error) { return m.OpenBox("machines/m1", nil) },
		"too short":      func() (*Box, error) { return openText(m, "machines/m1", []byte("short")) },
	} {
		if b, err := try(); err == nil || b != nil || strings.ContainsAny(err.Error(), "\n") {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
}

// openText seals a text as if it were a key, and opens it.
func openText(m *Master, owner string, text []byte) (*Box, error) {
	sealed, err := m.Seal(owner, text)
	if err != nil {
		return nil, err
	}
	return m.OpenBox(owner, sealed)
}

func TestDerivedKeys(t *testing.T) {
	m := master(t)
	one := m.Derive("tokens")
	if one != m.Derive("tokens") || one == m.Derive("digests") || one == m.key {
		t.Error("derived keys are not by purpose")
	}
}

// environment is what getenv answers in a test.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// keyFile writes a file with a key of one byte again and again.
func keyFile(t *testing.T, path string, of byte) string {
	t.Helper()
	text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{of}, keySize))
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWhereTheMasterKeyIsFound(t *testing.T) {
	dir, creds := t.TempDir(), t.TempDir()
	made, err := LoadMaster(dir, environment("CREDENTIALS_DIRECTORY", creds))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, KeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || made.Source != path {
		t.Fatalf("%v, %v, from %s", info, err, made.Source)
	}
	if again, err := LoadMaster(dir, environment()); err != nil || again.key != made.key {
		t.Errorf("the second time: %v", err)
	}
	file := filepath.Join(t.TempDir(), "key")
	keyFile(t, file, 2)
	text := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{3}, keySize))
	keyFile(t, filepath.Join(creds, Credential), 4)
	for _, c := range []struct {
		env  []string
		want byte
	}{
		{[]string{EnvKeyFile, file}, 2},
		{[]string{EnvKeyFile, file, EnvKey, text}, 3},
		{[]string{EnvKeyFile, file, EnvKey, text, "CREDENTIALS_DIRECTORY", creds}, 4},
	} {
		if m, err := LoadMaster(dir, environment(c.env...)); err != nil || m.key[0] != c.want {
			t.Errorf("%v: %v", c.env, err)
		}
	}
}

func TestBadMasterKeys(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := base64.StdEncoding.EncodeToString(make([]byte, keySize))
	for name, c := range map[string]struct {
		env  []string
		says string
	}{
		"open to others": {[]string{EnvKeyFile, write("open", good, 0o644)}, "chmod 0600"},
		"no base64":      {[]string{EnvKeyFile, write("text", "correct horse battery staple", 0o600)}, "openssl rand -base64 32"},
		"too short":      {[]string{EnvKey, "c2hvcnQ="}, "5 bytes, want 32"},
		"too large":      {[]string{EnvKeyFile, write("large", strings.Repeat("A", maxKeyFile+1), 0o600)}, "no key"},
		"not there":      {[]string{EnvKeyFile, filepath.Join(dir, "none")}, "no such file"},
		"a directory":    {[]string{EnvKeyFile, dir}, dir},
	} {
		m, err := LoadMaster(t.TempDir(), environment(c.env...))
		if err == nil || m != nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadMaster(filepath.Join(dir, "none"), environment()); err == nil {
		t.Error("a key was made in a directory that is not there")
	}
}

func TestParseIsStrict(t *testing.T) {
	b, _ := newBox(t, "x")
	sealed, err := b.Seal("x", "v")
	if err != nil {
		t.Fatal(err)
	}
	good := Value(sealed)
	if Parse(good) == nil || !Same(good, Value(sealed)) {
		t.Error("a sealed value is not known")
	}
	with := func(name string, value any) map[string]any {
		out := map[string]any{"Key": good["Key"], "Nonce": good["Nonce"], "Payload": good["Payload"]}
		out[name] = value
		return out
	}
	for name, v := range map[string]any{
		"nil": nil, "a text": "x", "a list": []any{}, "empty": map[string]any{}, "one field more": with("More", 1),
		"short key": with("Key", "AAAA"), "number": with("Nonce", 5), "no base64": with("Payload", "%%%"), "short payload": with("Payload", "AAAA"),
		"null payload": with("Payload", nil),
	} {
		if Parse(v) != nil || Same(v, good) || Same(good, v) || Same(v, v) {
			t.Errorf("%s is taken for a sealed value", name)
		}
	}
}

func FuzzSecureData(f *testing.F) {
	b, _ := newBox(f, "machines/m1")
	sealed, err := b.Seal("p", "v")
	if err != nil {
		f.Fatal(err)
	}
	raw, err := model.Marshal(Value(sealed))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, "p")
	f.Add([]byte(`{"Key":"","Nonce":"","Payload":""}`), "p")
	f.Add([]byte(`{"Key":5,"Nonce":null,"Payload":{}}`), "")
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		var v any
		if model.Unmarshal(raw, &v) != nil {
			return
		}
		s := Parse(v)
		if s == nil {
			return
		}
		if !Same(v, Value(s)) {
			t.Errorf("%s is not itself", raw)
		}
		if got, err := b.Open(name, s); err == nil && (name != "p" || got != "v") {
			t.Errorf("opened %s as %v", raw, got)
		}
	})
}

// TestBoxRemembersSenders opens values of more senders than a box remembers, in
// turn and at once: each opens every time, and what is remembered is bounded.
func TestBoxRemembersSenders(t *testing.T) {
	b, _, err := master(t).NewBox("machines/x")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 3 * maxShared {
		value := strings.Repeat("v", i)
		sealed, err := b.Seal("x/password", value)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for range 3 {
				if got, err := b.Open("x/password", sealed); err != nil || got != value {
					t.Errorf("got %v, %v; want %q", got, err, value)
				}
			}
		})
		wrong := *sealed
		wrong.Key = bytes.Clone(sealed.Key)
		wrong.Key[0] ^= 1
		if _, err := b.Open("x/password", &wrong); err == nil {
			t.Error("opened for another sender")
		}
	}
	all.Wait()
	if n := len(b.shared); n > maxShared {
		t.Errorf("%d senders are remembered", n)
	}
}
