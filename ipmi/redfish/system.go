package redfish

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"

	"provision-plugins/shared/model"
)

// rootPath is the service root (DSP0266 §8.2).
const rootPath = schemas.DefaultServiceRoot

// link is a reference to a resource.
type link struct {
	ID string `json:"@odata.id"`
}

// collection is a page of one.
type collection struct {
	Members []link `json:"Members"`
	Next    string `json:"Members@odata.nextLink"`
}

// maxMembers bounds what is read of a collection, maxPages its pages.
const (
	maxMembers = 512
	maxPages   = 32
)

// system is what is used of a ComputerSystem.
type system struct {
	PowerState    string `json:"PowerState"`
	UUID          string `json:"UUID"`
	SerialNumber  string `json:"SerialNumber"`
	LastResetTime string `json:"LastResetTime"`
	Boot          boot   `json:"Boot"`

	IndicatorLED            *string `json:"IndicatorLED"`
	LocationIndicatorActive *bool   `json:"LocationIndicatorActive"`

	Links struct {
		Chassis   []link `json:"Chassis"`
		ManagedBy []link `json:"ManagedBy"`
	} `json:"Links"`
	Actions struct {
		Reset action `json:"#ComputerSystem.Reset"`
	} `json:"Actions"`
}

// action is one that a resource offers.
type action struct {
	Target  string   `json:"target"`
	Info    string   `json:"@Redfish.ActionInfo"`
	Allowed []string `json:"ResetType@Redfish.AllowableValues"`
}

// members lists the paths of a collection's members.
func (b *bmc) members(ctx context.Context, at string) ([]string, error) {
	var all []string
	for page := 0; at != ""; page++ {
		var c collection
		if _, err := b.get(ctx, at, &c); err != nil {
			return nil, err
		}
		for _, m := range c.Members {
			all = append(all, m.ID)
		}
		if page >= maxPages || len(all) > maxMembers {
			return nil, model.Errorf(model.Unsupported, "BMC %s: %s has more than %d members", b.key.peer, at, maxMembers)
		}
		at = c.Next
	}
	return all, nil
}

// root reads the service root.
func (b *bmc) root(ctx context.Context) (map[string]json.RawMessage, error) {
	var r map[string]json.RawMessage
	_, err := b.get(ctx, rootPath, &r)
	return r, err
}

// linkIn returns where a property of a resource links to; "" if nowhere.
func linkIn(resource map[string]json.RawMessage, name string) string {
	var l link
	if json.Unmarshal(resource[name], &l) != nil {
		return ""
	}
	return l.ID
}

// systemPaths lists the computer systems. It is read once in a session.
func (b *bmc) systemPaths(ctx context.Context) ([]string, error) {
	b.pool.mu.Lock()
	known := b.systems
	b.pool.mu.Unlock()
	if len(known) > 0 {
		return known, nil
	}
	r, err := b.root(ctx)
	if err != nil {
		return nil, err
	}
	at := linkIn(r, "Systems")
	if at == "" {
		return nil, model.Errorf(model.Unsupported, "BMC %s: it has no computer systems", b.key.peer)
	}
	paths, err := b.members(ctx, at)
	if err != nil {
		return nil, err
	}
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	b.systems = paths
	return paths, nil
}

// choose returns the path of the computer system of an Id, or of the only one.
func (b *bmc) choose(ctx context.Context, id string) (string, error) {
	paths, err := b.systemPaths(ctx)
	if err != nil {
		return "", err
	}
	ids := make([]string, len(paths))
	for i, p := range paths {
		ids[i] = path.Base(p)
	}
	switch i := slices.Index(ids, id); {
	case len(paths) == 0:
		return "", model.Errorf(model.Unsupported, "BMC %s: it lists no computer system; it may still be starting", b.key.peer)
	case i >= 0:
		return paths[i], nil
	case id != "":
		return "", model.Errorf(model.Invalid, "param ipmi/system-id: BMC %s has no system %.80q, but %s", b.key.peer, id, strings.Join(ids, ", "))
	case len(paths) > 1:
		return "", model.Errorf(model.Invalid, "BMC %s has several systems: set ipmi/system-id to one of %s", b.key.peer, strings.Join(ids, ", "))
	}
	return paths[0], nil
}

// allowed lists the reset types that the BMC takes for a system; nil if it does not
// tell (ComputerSystem, Reset; ActionInfo).
func (b *bmc) allowed(ctx context.Context, sys *system) ([]string, error) {
	reset := sys.Actions.Reset
	if len(reset.Allowed) > 0 || reset.Info == "" {
		return reset.Allowed, nil
	}
	var info struct {
		Parameters []struct {
			Name    string
			Allowed []string `json:"AllowableValues"`
		}
	}
	if _, err := b.get(ctx, reset.Info, &info); err != nil {
		return nil, err
	}
	for _, p := range info.Parameters {
		if p.Name == "ResetType" {
			return p.Allowed, nil
		}
	}
	return nil, nil
}
