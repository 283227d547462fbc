package endpoint

import (
	"encoding/base64"
	"net"
	"strings"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// validate refuses an object that could not be used. Stored is what it was; nil:
// it is new.
func (o *objects) validate(k *kind, object, stored any) error {
	key := *k.key(object)
	if err := o.validateNames(k, object); err != nil {
		return err
	}
	if err := o.refersTo(k, object, stored); err != nil {
		return err
	}
	if params := paramsOf(object); params != nil {
		if err := checkKeys(*params); err != nil {
			return err.On(k.prefix, key)
		}
		if err := o.cat.checkAll(*params); err != nil {
			return model.AsError(err).On(k.prefix, key)
		}
	}
	return nil
}

// checkKeys refuses names of params that no list and no log could show. Params
// need no declaration, so that else any text is one.
func checkKeys(params model.Params) *model.Error {
	for name := range params {
		if len(name) > maxName || strings.ContainsFunc(name, unshowable) {
			return model.Errorf(model.Invalid, "Key %.40q: a param's name has at most %d bytes and no control characters or direction marks", name, maxName)
		}
	}
	return nil
}

// validateNames checks an object's own name and the names it points to.
func (o *objects) validateNames(k *kind, object any) error {
	switch t := object.(type) {
	case *model.Machine:
		return validateMachine(t)
	case *model.Plugin:
		if err := checkName(k.prefix, t.Name); err != nil {
			return err
		}
		if t.Provider == "" {
			return refused(k.prefix, t.Name, "Invalid Provider `%s`", t.Provider)
		}
		return nil
	case *model.Profile:
		return checkName(k.prefix, t.Name)
	case *model.Param:
		return validateParam(t)
	case *record:
		if err := checkName(k.prefix, t.key); err != nil {
			return err
		}
		if err := t.checkElements(); err != nil {
			return model.AsError(err).On(k.prefix, t.key)
		}
		if err := checkDeclared(k.prefix, t); err != nil {
			return err
		}
		if k.prefix == "prefs" {
			return validatePref(t)
		}
		return o.validateAccess(k, t)
	}
	return nil
}

// validateMachine checks a machine's name and what clients decode as other than
// a text: one machine with something else there would hide all others from them.
func validateMachine(m *model.Machine) error {
	if err := checkName("machines", m.Name); err != nil {
		return err
	}
	if !uuidText.MatchString(m.Uuid) {
		return refused("machines", m.Name, "Invalid Uuid %q: want lower-case hex digits as 8-4-4-4-12", m.Uuid)
	}
	if m.CurrentJob != "" && !uuidText.MatchString(m.CurrentJob) {
		return refused("machines", m.Name, "Invalid CurrentJob %.80q: want a UUID", m.CurrentJob)
	}
	if m.Address != "" && net.ParseIP(m.Address) == nil {
		return refused("machines", m.Name, "Invalid Address %.80q: want an IP address", m.Address)
	}
	for _, sum := range append([]string{m.Fingerprint.SSNHash, m.Fingerprint.CSNHash}, m.Fingerprint.MemoryIds...) {
		if _, err := base64.StdEncoding.DecodeString(sum); err != nil {
			return refused("machines", m.Name, "Invalid Fingerprint %.80q: want base64", sum)
		}
	}
	return nil
}

// validateParam checks a param's name and that its default fits its own schema.
func validateParam(p *model.Param) error {
	if err := checkName("params", p.Name); err != nil {
		return err
	}
	value, ok := schemaDefault(p)
	if !ok {
		value = nil
	}
	if err := content.CheckValue(p, value); err != nil && ok {
		return refused("params", p.Name, "Error in default value: %s", model.AsError(err).Text())
	}
	return nil
}
