// Package grant says who may ask for what in a chat: by the param
// slack/commands, by ids, and for nobody else. Names do not count: people give
// themselves what names they like.
package grant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"provision-plugins/shared/model"
	"provision-plugins/slack/chat/command"
)

const (
	// maxRules bounds the rules, maxList the list in each field of one.
	maxRules = 100
	maxList  = 1000
	// maxMachines is the most machines of one command, defaultTyped above how many
	// their number is typed.
	maxMachines     = 1000
	defaultMachines = 100
	defaultTyped    = 10
)

// Role is a set of commands.
type Role string

// The roles.
const (
	// Viewer may look.
	Viewer Role = "viewer"

	// Operator may change power and boot, and look after incidents.
	Operator Role = "operator"

	// Admin may send NMIs and act on protected machines too.
	Admin Role = "admin"
)

// looks are the commands of a viewer, and admins those of nobody but admins.
var (
	looks  = []string{"status", "list", "power status", "boot status", "runs", "silence list", "who", "help"}
	admins = []string{"power nmi"}
)

// Policy is the value of the param.
type Policy struct {
	// Team is the workspace that people must be of; empty does not ask. Channels are
	// where commands are taken; none is anywhere.
	Team     string   `json:"team"`
	Channels []string `json:"channels"`

	// TypedAbove is above how many machines their number is typed to confirm, and
	// Max the most of one command. 0 is the default.
	TypedAbove int `json:"typed_above"`
	Max        int `json:"max_machines"`

	// SecondPerson wants what is to be confirmed to be confirmed by another person.
	SecondPerson bool `json:"second_person"`

	// Rules say who may do what. What no rule gives is refused.
	Rules []Rule `json:"rules"`
}

// Rule gives commands on machines to people.
type Rule struct {
	// Name is for people; "rule N" by default.
	Name string `json:"name"`

	// Users and Groups are ids: U0123, S0123.
	Users  []string `json:"users"`
	Groups []string `json:"groups"`

	// Role is the role, Commands the only ones of it, as in "power on"; none is all.
	Role     Role     `json:"role"`
	Commands []string `json:"commands"`

	// Machines are those that it is for. Without it, it is for all.
	Machines Machines `json:"machines"`

	// Channels are where it counts; none is wherever commands are taken.
	Channels []string `json:"channels"`

	// Typed wants the name or number of the machines typed to confirm, whatever
	// their number; SecondPerson wants another person.
	Typed        bool `json:"typed"`
	SecondPerson bool `json:"second_person"`
}

// Machines selects machines: all that is given must hold.
type Machines struct {
	Names    []string     `json:"names"`    // globs
	Profiles []string     `json:"profiles"` // one of them
	Params   model.Params `json:"params"`   // all of them, of the machine's own
}

// Machine is what rules look at.
type Machine struct {
	Uuid, Name string
	Profiles   []string
	Params     model.Params
}

// Who asks, and where.
type Who struct {
	User, Team, Channel string

	// Groups are the user groups of the policy that the user is in.
	Groups []string
}

// The shapes of Slack's ids.
var (
	userID    = regexp.MustCompile(`^[UW][A-Z0-9]{1,30}$`)
	groupID   = regexp.MustCompile(`^S[A-Z0-9]{1,30}$`)
	channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{1,30}$`)
	teamID    = regexp.MustCompile(`^[TE][A-Z0-9]{1,30}$`)
)

// Parse reads the param's value; nil is a policy that gives nothing to anybody.
// Its errors name the rule.
func Parse(value any) (*Policy, error) {
	p := &Policy{}
	if value != nil {
		raw, err := model.Marshal(value)
		if err != nil {
			return nil, model.Errorf(model.Invalid, "cannot read the rules: %w", err)
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(p); err != nil {
			return nil, model.Errorf(model.Invalid, "cannot read the rules: %s", strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	return p, p.check()
}

// check completes a policy, or says what is wrong with it.
func (p *Policy) check() error {
	var faults []error
	if p.Team != "" && !teamID.MatchString(p.Team) {
		faults = append(faults, fmt.Errorf("team: %.40q is no id such as T0123ABC", p.Team))
	}
	faults = append(faults, ids("channels", "C0123ABC", channelID, p.Channels))
	if p.Max < 0 || p.Max > maxMachines || p.TypedAbove < 0 {
		faults = append(faults, fmt.Errorf("max_machines and typed_above are numbers from 0, max_machines to %d", maxMachines))
	}
	if len(p.Rules) > maxRules {
		faults = append(faults, fmt.Errorf("%d rules; %d are the most", len(p.Rules), maxRules))
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Name == "" {
			r.Name = fmt.Sprintf("rule %d", i+1)
		}
		if err := r.check(); err != nil {
			faults = append(faults, fmt.Errorf("rule %d (%.60s): %w", i+1, r.Name, err))
		}
	}
	if p.Max == 0 {
		p.Max = defaultMachines
	}
	if p.TypedAbove == 0 {
		p.TypedAbove = defaultTyped
	}
	if err := errors.Join(faults...); err != nil {
		return model.Errorf(model.Invalid, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// ids refuses what is no id. An id is the same for ever; a name is not.
func ids(field, example string, shape *regexp.Regexp, list []string) error {
	if len(list) > maxList {
		return fmt.Errorf("%s: %d ids; %d are the most", field, len(list), maxList)
	}
	for _, id := range list {
		if !shape.MatchString(id) {
			return fmt.Errorf("%s: %.40q is no id such as %s (names do not count: they can be changed)", field, id, example)
		}
	}
	return nil
}

// check says what is wrong with a rule.
func (r *Rule) check() error {
	switch {
	case len(r.Users) == 0 && len(r.Groups) == 0:
		return errors.New("users, groups: name at least one id")
	case !slices.Contains([]Role{Viewer, Operator, Admin}, r.Role):
		return fmt.Errorf("role: %.40q is none of viewer, operator, admin", r.Role)
	}
	for _, name := range r.Commands {
		if !command.Known(name) {
			return fmt.Errorf("commands: there is no command %.40q", name)
		}
		if !r.Role.has(name) {
			return fmt.Errorf("commands: the role %s has no %s", r.Role, name)
		}
	}
	for _, glob := range r.Machines.Names {
		if _, err := path.Match(glob, ""); err != nil || strings.TrimSpace(glob) == "" {
			return fmt.Errorf("machines: %.40q is no name and no pattern", glob)
		}
	}
	if len(r.Machines.Names) > maxList || len(r.Machines.Profiles) > maxList {
		return fmt.Errorf("machines: %d names or profiles are the most", maxList)
	}
	return errors.Join(ids("users", "U0123ABC", userID, r.Users), ids("groups", "S0123ABC", groupID, r.Groups), ids("channels", "C0123ABC", channelID, r.Channels))
}

// has reports whether a role has a command.
func (r Role) has(name string) bool {
	switch r {
	case Viewer:
		return slices.Contains(looks, name)
	case Operator:
		return !slices.Contains(admins, name)
	}
	return r == Admin
}

// Groups are the user groups that rules name, each once.
func (p *Policy) Groups() []string {
	var out []string
	for _, r := range p.Rules {
		out = append(out, r.Groups...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Of are the rules that count for somebody, there.
func (p *Policy) Of(w Who) []*Rule {
	if p.Team != "" && w.Team != p.Team || len(p.Channels) > 0 && !slices.Contains(p.Channels, w.Channel) {
		return nil
	}
	var out []*Rule
	for i := range p.Rules {
		r := &p.Rules[i]
		here := len(r.Channels) == 0 || slices.Contains(r.Channels, w.Channel)
		in := func(group string) bool { return slices.Contains(w.Groups, group) }
		if here && (slices.Contains(r.Users, w.User) || slices.ContainsFunc(r.Groups, in)) {
			out = append(out, r)
		}
	}
	return out
}

// Gives reports whether a rule gives a command, on some machine.
func (r *Rule) Gives(c *command.Command) bool {
	if !r.Role.has(c.Name) || c.Override && r.Role != Admin {
		return false
	}
	return len(r.Commands) == 0 || slices.Contains(r.Commands, c.Name) || free(c.Name)
}

// free are the commands that everybody has who has any.
func free(name string) bool { return name == command.Who || name == command.Help }

// Has reports whether a machine is one of those selected.
func (m *Machines) Has(of Machine) bool {
	match := func(glob string) bool {
		ok, err := path.Match(glob, of.Name)
		return err == nil && ok
	}
	if len(m.Names) > 0 && !slices.ContainsFunc(m.Names, match) {
		return false
	}
	in := func(profile string) bool { return slices.Contains(of.Profiles, profile) }
	if len(m.Profiles) > 0 && !slices.ContainsFunc(m.Profiles, in) {
		return false
	}
	for name, want := range m.Params {
		if got, ok := of.Params[name]; !ok || !same(got, want) {
			return false
		}
	}
	return true
}

// same reports whether two values are the same JSON.
func same(a, b any) bool {
	x, errX := model.Marshal(a)
	y, errY := model.Marshal(b)
	return errX == nil && errY == nil && (bytes.Equal(x, y) || reflect.DeepEqual(a, b))
}

// Verdict is what is asked of who may.
type Verdict struct {
	// Refused are the machines that no rule gives, Typed and Second how the rest is
	// to be confirmed.
	Refused       []Machine
	Typed, Second bool
}

// Judge says whether somebody may have a command done to machines, and how it is
// to be confirmed: the strictest of what the rules say that give it.
func (p *Policy) Judge(w Who, c *command.Command, machines []Machine) Verdict {
	v := Verdict{Typed: len(machines) > p.TypedAbove, Second: p.SecondPerson}
	rules := p.Of(w)
	for _, m := range machines {
		gives := func(r *Rule) bool { return r.Gives(c) && r.Machines.Has(m) }
		i := slices.IndexFunc(rules, gives)
		if i < 0 {
			v.Refused = append(v.Refused, m)
			continue
		}
		v.Typed, v.Second = v.Typed || rules[i].Typed, v.Second || rules[i].SecondPerson
	}
	return v
}

// May reports whether somebody may ask for a command at all.
func (p *Policy) May(w Who, c *command.Command) bool {
	return slices.ContainsFunc(p.Of(w), func(r *Rule) bool { return r.Gives(c) })
}
