package inventory

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"provision-plugins/shared/model"
)

// columns is what two drivers declare; a third does not exist.
func columns(driver string) (Columns, error) {
	switch driver {
	case "", "ipmi":
		return Columns{"address": "ipmi/address", "port": "ipmi/port", "username": "ipmi/username", "password": "ipmi/password"}, nil
	case "vbox":
		return Columns{"address": "vbox/id"}, nil
	}
	return nil, errors.New("no driver is called " + driver)
}

// passwordDir is a folder with password files.
func passwordDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"pw": "s3cr3t \n", "crlf": "s3cr3t\r\n", "empty": "\n", "long": strings.Repeat("x", maxPassword+2), "latin": "\xe9"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRead(t *testing.T) {
	const csv = "\uFEFFname, driver ,address,port,username,password-file,detected-bios-mode,ipmi/identify-duration,tags,ipmi/kg\n" +
		"# the first rack\n" +
		"m1,,10.0.0.1,623,root,pw,uefi,15,\"[\"\"a\"\", 1.50]\",007\n" +
		"\n" +
		"m2,ipmi,10.0.0.2,,12345,crlf,,007,{bad,12\n" +
		"7up,vbox,AAAA-1,,,,true,,,\n"
	rows, err := Read(strings.NewReader(csv), passwordDir(t), columns)
	if err != nil {
		t.Fatal(err)
	}
	want := []Row{
		{Name: "m1", Line: 3, Params: model.Params{
			"ipmi/address": "10.0.0.1", "ipmi/port": json.Number("623"), "ipmi/username": "root", "ipmi/password": "s3cr3t ",
			"detected-bios-mode": "uefi", "ipmi/identify-duration": json.Number("15"), "tags": []any{"a", json.Number("1.50")}, "ipmi/kg": "007",
		}},
		{Name: "m2", Driver: "ipmi", Line: 5, Params: model.Params{
			"ipmi/address": "10.0.0.2", "ipmi/username": "12345", "ipmi/password": "s3cr3t",
			"ipmi/identify-duration": "007", "tags": "{bad", "ipmi/kg": "12",
		}},
		{Name: "7up", Driver: "vbox", Line: 6, Params: model.Params{"vbox/id": "AAAA-1", "detected-bios-mode": true}},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := passwordDir(t)
	for name, c := range map[string]struct{ csv, want string }{
		"empty file":       {"", "it is empty"},
		"no name column":   {"address\n1\n", "line 1: no column is called name"},
		"nameless column":  {"name,,x\n", "line 1: column 2 has no name"},
		"column twice":     {"name,a,a\n", `line 1: column "a" is there twice`},
		"password column":  {"name,password\n", "put the password in a file"},
		"too many columns": {"name" + strings.Repeat(",x", maxColumns) + "\n", "more than 256 columns"},
		"empty name":       {"name,a\n,1\n", "line 2: column name: the name is empty"},
		"long name":        {"name\n" + strings.Repeat("n", 256) + "\n", "longer than 255"},
		"name with slash":  {"name\na/b\n", `"a/b" has a character`},
		"name not UTF-8":   {"name\n\xff\n", "is not UTF-8"},
		"cell not UTF-8":   {"name,a\nm,\xff\n", "line 2: column a: the cell is not UTF-8"},
		"same name":        {"name\nm\n#\nm\n", "line 4: machine m stands on line 2 already"},
		"short row":        {"name,a\nm1,1\nm2\n", "line 3: not as many cells"},
		"bare quote":       {"name,a\nm1,x\"y\n", "line 2: column 5"},
		"open quote":       {"name,a\nm1,\"x\n", "line 2"},
		"port not number":  {"name,port\nm,http\n", "line 2: column port: a port is a number"},
		"port too large":   {"name,port\nm,65536\n", "a port is a number"},
		"unknown driver":   {"name,driver\nm,x\n", "line 2: column driver: no driver is called x"},
		"column unknown":   {"name,driver,port\nm,vbox,1\n", "line 2: column port: this driver does not have it"},
		"param twice":      {"name,address,ipmi/address\nm,1,2\n", "param ipmi/address is set by another column"},
		"no password file": {"name,password-file\nm,nope\n", "line 2: column password-file: cannot read the secret: stat"},
		"password dir":     {"name,password-file\nm,.\n", "is not a regular file"},
		"empty password":   {"name,password-file\nm,empty\n", "it is empty"},
		"long password":    {"name,password-file\nm,long\n", "longer than 16 KiB"},
		"latin password":   {"name,password-file\nm,latin\n", "it is not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := Read(strings.NewReader(c.csv), dir, columns)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("rows %v, error %v, want %q", rows, err, c.want)
			}
			if kind := model.KindOf(err); kind != model.Invalid {
				t.Errorf("kind %s", kind)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
		})
	}
}

// endless is a reader without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReadIsBounded(t *testing.T) {
	if _, err := Read(endless{}, "", columns); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("error %v", err)
	}
	many := "name\n" + strings.Repeat("m\n", 1)
	if _, err := Read(strings.NewReader(many), "", columns); err != nil {
		t.Error(err)
	}
}

func TestReadAsksOncePerDriver(t *testing.T) {
	asked := 0
	_, err := Read(strings.NewReader("name,address\na,1\nb,2\nc,3\n"), "", func(string) (Columns, error) {
		asked++
		return Columns{"address": "x/address"}, nil
	})
	if err != nil || asked != 1 {
		t.Errorf("asked %d times, error %v", asked, err)
	}
}

func TestReadSecretErrorsNameTheFile(t *testing.T) {
	dir := passwordDir(t)
	for _, name := range []string{"nope", "empty", "."} {
		if _, err := ReadSecret(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unreadable := filepath.Join(dir, "pw")
	if got, err := ReadSecret(unreadable); err != nil || got != "s3cr3t " {
		t.Errorf("%q %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("name,driver,address,port\nm1,ipmi,10.0.0.1,623\n"))
	f.Add([]byte("\uFEFFname,tags\n\"m\n1\",\"[1,{}]\"\n"))
	f.Add([]byte("name,password-file\nm,../../etc/passwd\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		rows, err := Read(strings.NewReader(string(raw)), dir, columns)
		if err != nil {
			if model.KindOf(err) != model.Invalid {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, row := range rows {
			if row.Name == "" || seen[row.Name] || row.Line < 2 {
				t.Fatalf("bad row %+v", row)
			}
			seen[row.Name] = true
			if _, err := json.Marshal(row.Params); err != nil {
				t.Fatalf("params of %s: %v", row.Name, err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("secret\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	var csv strings.Builder
	csv.WriteString("name,address,port,username,password-file\n")
	for i := range 1000 {
		n := json.Number(rune('a'+i%26)) + json.Number(strings.Repeat("x", i/26))
		csv.WriteString(string(n) + ",127.0.0.1,6230,root,pw\n")
	}
	for b.Loop() {
		if _, err := Read(strings.NewReader(csv.String()), dir, columns); err != nil {
			b.Fatal(err)
		}
	}
}
