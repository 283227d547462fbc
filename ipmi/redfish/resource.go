package redfish

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// resources says where each action that tells a part of the system finds it: at a
// link of the system, one resource or all members of a collection.
var resources = map[string]struct {
	link string
	many bool
}{
	"getBios":               {"Bios", false},
	"getMemory":             {"Memory", true},
	"getProcessor":          {"Processors", true},
	"getStorage":            {"Storage", true},
	"getSimpleStorage":      {"SimpleStorage", true},
	"getNetworkInterfaces":  {"NetworkInterfaces", true},
	"getEthernetInterfaces": {"EthernetInterfaces", true},
	"getSecureBoot":         {"SecureBoot", false},
}

// Resources lists the actions that Resource answers, besides getInfo.
func Resources() []string {
	return append(slices.Sorted(maps.Keys(resources)), "getBoot")
}

// Info is the system as the BMC tells it.
func (s *Session) Info(ctx context.Context) (any, error) {
	var sys map[string]json.RawMessage
	_, err := s.bmc.get(ctx, s.path, &sys)
	return sys, err
}

// Resource is a part of the system as the BMC tells it: an object, or a list of
// objects. A system without such a part is unsupported; one that fails to tell it is
// an error of its own kind.
func (s *Session) Resource(ctx context.Context, command string) (any, error) {
	var sys map[string]json.RawMessage
	if _, err := s.bmc.get(ctx, s.path, &sys); err != nil {
		return nil, err
	}
	if command == "getBoot" {
		return s.part(sys, "Boot")
	}
	from, ok := resources[command]
	if !ok {
		return nil, model.Errorf(model.Unsupported, "Redfish has no %s", command)
	}
	at := linkIn(sys, from.link)
	if at == "" {
		return nil, model.Errorf(model.Unsupported, "BMC %s: the system tells no %s", s.bmc.key.peer, from.link)
	}
	if !from.many {
		var one map[string]json.RawMessage
		_, err := s.bmc.get(ctx, at, &one)
		return one, err
	}
	paths, err := s.bmc.members(ctx, at)
	if err != nil {
		return nil, err
	}
	all := make([]map[string]json.RawMessage, len(paths))
	for i, p := range paths {
		if _, err := s.bmc.get(ctx, p, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// part is a property of a resource.
func (s *Session) part(of map[string]json.RawMessage, name string) (any, error) {
	if len(of[name]) == 0 {
		return nil, model.Errorf(model.Unsupported, "BMC %s: the system tells no %s", s.bmc.key.peer, strings.ToLower(name))
	}
	return of[name], nil
}
