package endpoint

import (
	"fmt"
	"strings"

	"provision-plugins/shared/model"
)

// The params that name a machine's plugin, in the order they are asked.
var driverParams = [...]string{"oob/driver", "machine-plugin"}

// question is which plugin should run an action on an object.
type question struct {
	model, key string
	command    string
	asked      string // the plugin that the request names, if it does
	offers     []offer
	body       model.Params
	from       chain
}

// choose picks the plugin: the one the request names, else the machine's
// driver, else the only one that has all it needs.
func (c *catalog) choose(q question) (offer, error) {
	if q.asked != "" {
		return q.named(q.asked, "the request")
	}
	for _, param := range driverParams {
		if v, ok := q.from.lookup(param); ok && v != "" {
			name, err := model.Params{param: v}.String(param, "")
			if err != nil {
				return offer{}, err
			}
			return q.named(name, param)
		}
	}
	switch len(q.offers) {
	case 0:
		return offer{}, q.noAction()
	case 1:
		return q.offers[0], nil
	}
	return c.onlyComplete(q)
}

// named picks the offer of a plugin or of a provider by name.
func (q question) named(name, by string) (offer, error) {
	for _, of := range q.offers {
		if of.plugin == name {
			return of, nil
		}
	}
	for _, of := range q.offers {
		if of.provider.Name == name {
			return of, nil
		}
	}
	if len(q.offers) == 0 {
		return offer{}, q.noAction()
	}
	return offer{}, model.Errorf(model.Unsupported, "no plugin in use called %s (named by %s) has the action %s; those that have it: %s",
		name, by, q.command, strings.Join(q.plugins(), ", ")).On(q.model, q.key)
}

// noAction is the reference's error of an action that nobody offers.
func (q question) noAction() *model.Error {
	return model.Errorf(model.NotFound, "Action %s on %s: Not Found", q.command, q.model).On(q.model, q.key)
}

// plugins lists the plugins that offer the action.
func (q question) plugins() []string {
	names := make([]string, len(q.offers))
	for i, of := range q.offers {
		names[i] = of.plugin
	}
	return names
}

// onlyComplete picks the one plugin whose required params all have a value.
func (c *catalog) onlyComplete(q question) (offer, error) {
	var complete []offer
	var lacks []string
	for _, of := range q.offers {
		missing := c.missing(of, q.body, q.from)
		if len(missing) == 0 {
			complete = append(complete, of)
			lacks = append(lacks, of.plugin+" (has all it needs)")
		} else {
			lacks = append(lacks, fmt.Sprintf("%s (lacks %s)", of.plugin, strings.Join(missing, ", ")))
		}
	}
	if len(complete) == 1 {
		return complete[0], nil
	}
	return offer{}, model.Errorf(model.Conflict, "cannot choose a plugin for %s: %s; set oob/driver on the machine or name one with ?plugin=",
		q.command, strings.Join(lacks, ", ")).On(q.model, q.key)
}
