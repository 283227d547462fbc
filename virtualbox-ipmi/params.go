package main

import (
	"regexp"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// The params of machines.
const (
	paramID       = "virtualbox/id"
	paramFrontend = "virtualbox/frontend"
)

// The plugin's own params, which are read from its config and nowhere else: they
// say what is run, and as whom.
const (
	paramCommand = "virtualbox/command"
	paramUser    = "virtualbox/user"
	paramImport  = "virtualbox/import-existing"
)

// metaTable says what the columns of an inventory mean here.
var metaTable = map[string]string{
	model.MetaColumns: `{"address":"virtualbox/id"}`,
	// VBoxHeadless and sudo gain privileges, and VMs are in the user's home.
	model.MetaSandbox: "off",
	model.MetaClaims: `[{"scope":"machines","action":"get,list,create,update,delete","specific":"*"},` +
		`{"scope":"events","action":"get,list","specific":"*"}]`,
}

// uuidForm is how a UUID is written, in either case.
var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// userForm is the name of a user, or a number; above all it is no option.
var userForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?$`)

// frontends are what a VM can be started in.
var frontends = []string{"headless", "gui", "separate", "sdl"}

// target is what the params of a machine say.
type target struct {
	id       string // lower case
	frontend string
}

// parseTarget reads the params. Its errors name the param.
func parseTarget(p model.Params) (*target, error) {
	id, err := idParam(p)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, model.Errorf(model.Invalid, "param %s is not set", paramID)
	}
	t := &target{id: id}
	t.frontend, err = frontendParam(p)
	return t, err
}

// idParam reads virtualbox/id, "" if it is not set.
func idParam(p model.Params) (string, error) {
	id, err := p.String(paramID, "")
	if err != nil || id == "" {
		return "", err
	}
	if !uuidForm.MatchString(id) {
		return "", model.Errorf(model.Invalid, "param %s: %.60q is not a UUID; VBoxManage list vms shows them", paramID, id)
	}
	return strings.ToLower(id), nil
}

// frontendParam reads how VMs are started.
func frontendParam(p model.Params) (string, error) {
	frontend, err := p.String(paramFrontend, frontends[0])
	if err != nil || frontend == "" {
		return frontends[0], err
	}
	if !slices.Contains(frontends, frontend) {
		return "", model.Errorf(model.Invalid, "param %s: %.60q is none of %s", paramFrontend, frontend, strings.Join(frontends, ", "))
	}
	return frontend, nil
}
