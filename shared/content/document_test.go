package content_test

import (
	"errors"
	"strings"
	"testing"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

const documented = `meta:
  Name: my-layer
  DisplayName: "My *own* layer"
  Version: v1.2.3
  Copyright: "2026\n  somebody"
  Documentation: "\n  Indented.\n\nThe end.\n\n"
sections:
  tasks:
    zz: {Name: zz, Documentation: "Last."}
  params:
    my/user_: {Name: my/user_, Documentation: "\nWho.\n"}
    my/é: {Name: my/é, Documentation: "What."}
    my/silent: {Name: my/silent, Documentation: " \n"}
  profiles:
    quiet: {Name: quiet}
`

const documentedPage = `
.. Copyright: 2026 somebody
.. License: not stated
.. Made by contents document: change the content package, not this page.

.. index::
  pair: my-layer; Content Packages

.. _rs_cp_my_layer:

my-layer - My \*own\* layer
~~~~~~~~~~~~~~~~~~~~~~~~~~~

The following documentation is for My \*own\* layer (my-layer) content package at version v1.2.3.

  Indented.

The end.

Object Specific Documentation
-----------------------------

params
======

The params below have documentation of their own.

my/user\_
+++++++++

Who.

my/é
+++++

What.

tasks
=====

The tasks below have documentation of their own.

zz
++

Last.
`

// page is a bundle's page.
func page(t *testing.T, c *model.Content) string {
	t.Helper()
	var b strings.Builder
	if err := content.Document(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A page has what the reference's has, in one order.
func TestDocument(t *testing.T) {
	for range 10 {
		if got := page(t, parsed(t, documented)); got != documentedPage {
			t.Fatalf("got\n%s", got)
		}
	}
}

// A bundle that says nothing has a short page.
func TestDocumentLittle(t *testing.T) {
	const want = "\n.. Copyright: not stated\n.. License: not stated\n.. Made by contents document: change the content package, not this page.\n\n" +
		".. index::\n  pair: ab; Content Packages\n\n.. _rs_cp_ab:\n\nab\n~~\n\nThe following documentation is for ab content package.\n"
	if got := page(t, parsed(t, "meta: {Name: ab}\nsections: {params: {ab/cd: {Name: ab/cd}}}")); got != want {
		t.Errorf("got\n%s", got)
	}
}

// full is a writer with no room.
type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestDocumentCannotWrite(t *testing.T) {
	err := content.Document(full{}, parsed(t, documented))
	if !errors.Is(err, errFull) || err.Error() != "cannot write the page of my-layer: disk full" {
		t.Errorf("%v", err)
	}
}
