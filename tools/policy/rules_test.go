package policy

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"provision-plugins/shared/content"
	"provision-plugins/shared/content/bundle"
)

// repo is a small repository that keeps all rules.
func repo(t *testing.T) fstest.MapFS {
	t.Helper()
	r := fstest.MapFS{}
	for file, text := range map[string]string{
		"README.md":                               "# It works",
		"shared/model/m.go":                       "// Package model is.\npackage model\n\n// N is.\nconst N = 1\n",
		"shared/driver/d.go":                      "// Package driver is.\npackage driver\n\nimport _ \"provision-plugins/shared/model\"\n",
		"shared/driver/toy/toy.go":                "// Package toy is.\npackage toy\n\nimport _ \"provision-plugins/shared/driver\"\n",
		"endpoint/store/s.go":                     "// Package store is.\npackage store\n\nimport _ \"github.com/nats-io/nats.go\"\n",
		"endpoint/e.go":                           "// Package endpoint is.\npackage endpoint\n\nimport _ \"provision-plugins/endpoint/store\"\nimport _ \"provision-plugins/shared/plugin\"\n",
		"sim/bmc/b.go":                            "// Package bmc is.\npackage bmc\n\nimport _ \"github.com/bougou/go-ipmi/pkg/server\"\n",
		"fifth/main.go":                           "// Command fifth is.\npackage main\n\nimport (\n\t\"os\"\n\n\t_ \"provision-plugins/fifth/wire\"\n\t_ \"provision-plugins/shared/driver\"\n)\n\nfunc main() { os.Exit(0) }\n",
		"fifth/main_test.go":                      "package main\n\nimport _ \"provision-plugins/sim/bmc\"\n",
		"fifth/wire/w.go":                         "// Package wire is.\npackage wire\n",
		"fifth/generate.go":                       "package main\n\n//go:generate go run ../tools/contents bundle content.go --dir content\n",
		"fifth/content/._Name.meta":               "fifth\n",
		"fifth/content/params/fifth.address.yaml": "Name: fifth/address\nSchema: {type: string}\n",
		"fifth/testdata/bad.go":                   "not Go",
		"fifth/image.bin":                         "TO" + "DO\x00",
		"bin/x.go":                                "not Go",
		"tools/demo/main.go":                      "// Command demo is.\npackage main\n\nimport _ \"provision-plugins/endpoint\"\n\nfunc main() {}\n",
	} {
		r[file] = &fstest.MapFile{Data: []byte(text)}
	}
	r["fifth/content.go"] = &fstest.MapFile{Data: generate(t, r, "fifth/content")}
	return r
}

// generate bundles a folder of the repository.
func generate(t *testing.T, r fs.FS, dir string) []byte {
	t.Helper()
	sub, err := fs.Sub(r, dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := content.LoadFS(context.Background(), sub, dir)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := bundle.EncodeGo(&text, c, bundle.GoNames{}); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// A repository that keeps the rules has no violation, a fifth driver included.
func TestGoodRepository(t *testing.T) {
	found, err := Check(repo(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}

// imports is a file of a package that imports one thing.
func imports(pkg, target string) string {
	return "package " + pkg + "\n\nimport _ \"" + target + "\"\n"
}

// Each rule is seen to fail: one file is added to the good repository, and one
// violation is found, with its reason.
func TestRules(t *testing.T) {
	const ours = Module + "/"
	for _, tc := range []struct{ name, file, text, want string }{
		{"model imports", "shared/model/x.go", imports("model", ours+"shared/client"), "shared/model/x.go:3: shared/model imports shared/client. The reason: model is what crosses a socket"},
		{"driver imports plugin", "shared/driver/x.go", imports("driver", ours+"shared/plugin"), "shared/driver imports shared/plugin. The reason: what can be done"},
		{"client imports plugin", "shared/client/x.go", "// Package client is.\n" + imports("client", ours+"shared/plugin"), "shared/client imports shared/plugin"},
		{"content imports client", "shared/content/x.go", "// Package content is.\n" + imports("content", ours+"shared/client"), "shared/content imports shared/client"},
		{"inventory imports driver", "shared/inventory/x.go", "// Package inventory is.\n" + imports("inventory", ours+"shared/driver"), "shared/inventory imports shared/driver"},
		{"plugin imports driver", "shared/plugin/x.go", "// Package plugin is.\n" + imports("plugin", ours+"shared/driver"), "shared/plugin imports shared/driver"},
		{"plugin imports slow content", "shared/plugin/x.go", "// Package plugin is.\n" + imports("plugin", ours+"shared/content"), "which does not slow the start"},
		{"content imports endpoint", "content/x.go", "// Package content is.\n" + imports("content", ours+"endpoint"), "content imports endpoint"},
		{"endpoint imports driver", "endpoint/x.go", imports("endpoint", ours+"shared/driver"), "endpoint imports shared/driver. The reason: the endpoint knows plugins by their protocol alone"},
		{"endpoint imports a plugin", "endpoint/store/x.go", imports("store", ours+"fifth/wire"), "endpoint/store imports fifth/wire"},
		{"endpoint's test imports driver", "endpoint/x_test.go", imports("endpoint", ours+"shared/driver"), "endpoint imports shared/driver"},
		{"endpoint imports sim", "endpoint/x.go", imports("endpoint", ours+"sim/bmc"), "endpoint imports sim/bmc"},
		{"sim imports model", "sim/bmc/x.go", imports("bmc", ours+"shared/model"), "sim/bmc imports shared/model. The reason: a simulator that shares code"},
		{"sim's test imports ours", "sim/bmc/x_test.go", imports("bmc", ours+"shared/model"), "sim/bmc imports shared/model"},
		{"sim imports sim", "sim/slack/x.go", "// Package slack is.\n" + imports("slack", ours+"sim/bmc"), "sim/slack imports sim/bmc"},
		{"command line imports a driver's package", "oob/main.go", "// Command oob is.\n" + imports("main", ours+"fifth/wire"), "oob imports fifth/wire"},
		{"fifth driver imports endpoint", "fifth/x.go", imports("main", ours+"endpoint"), "fifth imports endpoint. The reason: a plugin is a program of its own"},
		{"fifth driver imports sim", "fifth/wire/x.go", imports("wire", ours+"sim/bmc"), "fifth/wire imports sim/bmc"},
		{"sixth driver imports the fifth", "sixth/main.go", "// Command sixth is.\n" + imports("main", ours+"fifth/wire"), "sixth imports fifth/wire"},
		{"sim is built on the client", "sim/bmc/x.go", imports("bmc", "github.com/bougou/go-ipmi/pkg/client"), "sim/bmc imports github.com/bougou/go-ipmi/pkg/client. The reason: that client sends a command again"},
		{"driver is built on the client", "fifth/x.go", imports("main", "github.com/bougou/go-ipmi/pkg/client"), "fifth imports github.com/bougou/go-ipmi/pkg/client"},
		{"IPMI elsewhere", "fifth/x.go", imports("main", "github.com/bougou/go-ipmi/pkg/types"), "IPMI is the ipmi plugin's affair"},
		{"sim uses its driver's SDK", "sim/slack/x.go", "// Package slack is.\n" + imports("slack", "github.com/slack-go/slack"), "no second opinion on the wire"},
		{"storage elsewhere", "shared/driver/x.go", imports("driver", "github.com/nats-io/nats.go/jetstream"), "storage is behind the endpoint's engine"},
		{"schemas elsewhere", "fifth/x.go", imports("main", "github.com/santhosh-tekuri/jsonschema/v6"), "shared/content/bundle does without"},
		{"test helper in a program", "fifth/x.go", imports("main", "github.com/google/go-cmp/cmp"), "it is made for tests"},
		{"no package comment", "shared/x/x.go", "package x\n", "shared/x/x.go:1: package shared/x has no comment"},
		{"two package comments", "shared/model/x.go", "// Package model is again.\npackage model\n", "package shared/model has 2 comments"},
		{"func", "shared/model/x.go", "package model\n\nfunc F() {}\n", "shared/model/x.go:3: F has no comment"},
		{"method", "shared/model/x.go", "package model\n\n// T is.\ntype T[P any] struct{}\n\nfunc (t *T[P]) M() {}\n", "M has no comment"},
		{"type", "shared/model/x.go", "package model\n\ntype T struct{}\n", "T has no comment"},
		{"type in a group", "shared/model/x.go", "package model\n\n// Types.\ntype (\n\tT struct{}\n)\n", "T has no comment"},
		{"const", "shared/model/x.go", "package model\n\nconst C = 1\n", "C has no comment"},
		{"var", "shared/model/x.go", "package model\n\nvar a, V = 1, 2\n", "V has no comment"},
		{"interface method", "shared/model/x.go", "package model\n\ntype i interface{ m() }\n", "i.m has no comment. The reason: a method's contract"},
		{"init", "shared/model/x_test.go", "package model\n\nfunc init() {}\n", "init function. The reason: an init runs in every program"},
		{"sleep", "shared/model/x_test.go", "package model\n\nimport clock \"time\"\n\nfunc f() { clock.Sleep(1) }\n", "x_test.go:5: time.Sleep is used. The reason: a sleep is too long or too short"},
		{"sleep passed on", "shared/model/x.go", "package model\n\nimport \"time\"\n\nvar f = time.Sleep\n", "time.Sleep is used"},
		{"panic", "shared/model/x.go", "package model\n\nfunc f() { panic(1) }\n", "panic is called. The reason: a panic takes down"},
		{"exit in a package", "shared/model/main.go", "package model\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n", "os.Exit is used. The reason: an exit runs no deferred call"},
		{"exit beside main", "fifth/x.go", "package main\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n", "os.Exit is used"},
		{"fatal", "shared/model/x.go", "package model\n\nimport \"log\"\n\nfunc f() { log.Fatalf(\"x\") }\n", "log.Fatalf is used"},
		{"does not parse", "shared/model/x.go", "package model\n\nfunc {\n", "shared/model/x.go:1: does not parse"},
		{"left to do", "README.md", "one\nTO" + "DO: two\n", "README.md:2: it says TO" + "DO. The reason: what is left to do"},
		{"a path", "shared/model/x.go", "package model\n\n// See /wo" + "rk/main/x.\n", "the repository speaks of the project alone"},
		{"an issue", "build.sh", "# for iss" + "ue 12\n", "build.sh:1: it says iss" + "ue 12"},
		{"a tool", "docs/a.md", "Cla" + "ude\n", "the repository speaks of the project alone"},
		{"another document", "docs/a.md", "see design" + ".md section 3\n", "that document is not in the repository"},
		{"stale content", "fifth/content/params/fifth.port.yaml", "Name: fifth/port\n", "fifth/generate.go:3: fifth/content.go is not what fifth/content gives now. The reason: the program would be built with content"},
		{"broken content", "fifth/content/params/fifth.port.yaml", "Nome: x\n", "cannot bundle fifth/content: invalid: fifth/content/params/fifth.port.yaml:1: Name is missing"},
		{"edited by hand", "fifth/content.go", "// Code generated by contents bundle; DO NOT EDIT.\n\npackage main\n\nvar contentYamlString = \"\"\n", "fifth/content.go is not what fifth/content gives now"},
		{"no directive", "sixth/content/._Name.meta", "sixth\n", "sixth/content/._Name.meta:1: sixth/content is bundled by no directive"},
		{"no folder", "sixth/generate.go", "// Command sixth is.\npackage main\n\n//go:generate go run ../tools/contents bundle content.go --dir content\n", "sixth/generate.go:4: cannot bundle sixth/content:"},
		{"generated by nothing", "sixth/content.go", "// Code generated by contents bundle; DO NOT EDIT.\n\n// Command sixth is.\npackage main\n", "marked as generated, and no directive generates it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := repo(t)
			r[tc.file] = &fstest.MapFile{Data: []byte(tc.text)}
			found, err := Check(r)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || !strings.Contains(found[0].String(), tc.want) || found[0].Why == "" {
				t.Errorf("found %v, want %q", found, tc.want)
			}
		})
	}
}

// What looks like a broken rule and is none.
func TestRulesDoNotOverreach(t *testing.T) {
	for _, tc := range []struct{ name, file, text string }{
		{"panic in a test", "shared/model/x_test.go", "package model\n\nfunc f() { panic(1) }\n"},
		{"exit in a test", "shared/model/x_test.go", "package model\n\nimport \"os\"\n\nfunc f() { os.Exit(1) }\n"},
		{"own Sleep", "shared/model/x.go", "package model\n\nimport \"provision-plugins/shared/model/clock\"\n\nfunc f() { clock.Sleep(1) }\n"},
		{"init method", "shared/model/x.go", "package model\n\ntype t int\n\nfunc (t) init() {}\n"},
		{"method of a hidden type", "shared/model/x.go", "package model\n\ntype t int\n\nfunc (t) String() string { return \"\" }\n"},
		{"grouped constants", "shared/model/x.go", "package model\n\n// The colours.\nconst (\n\tRed = 1\n\tBlue = 2\n)\n"},
		{"comment at the end", "shared/model/x.go", "package model\n\nconst (\n\tRed = 1 // red\n)\n"},
		{"embedded interface", "shared/model/x.go", "package model\n\nimport \"io\"\n\ntype i interface{ io.Reader }\n"},
		{"peer in a test", "fifth/x_test.go", imports("main", "github.com/bougou/go-ipmi/pkg/client")},
		{"words", "README.md", "An IPMI session; a task of a stage; an agent on the machine; the issue of a token; context of a brief outage.\n"},
		{"own document", "README.md", "see docs/design" + ".md\n"},
	} {
		r := repo(t)
		r[tc.file] = &fstest.MapFile{Data: []byte(tc.text)}
		found, err := Check(r)
		if err != nil || len(found) > 0 {
			t.Errorf("%s: %v, %v", tc.name, found, err)
		}
	}
}

// unreadable is a file system that cannot be read.
type unreadable struct{}

var errUnreadable = errors.New("unreadable")

func (unreadable) Open(string) (fs.File, error) { return nil, errUnreadable }

func TestUnreadable(t *testing.T) {
	if _, err := Check(unreadable{}); !errors.Is(err, errUnreadable) {
		t.Errorf("%v", err)
	}
}
