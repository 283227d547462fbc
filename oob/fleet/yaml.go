package fleet

import (
	"fmt"
	"io"

	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// MaxFile bounds a file of machines.
const MaxFile = 64 << 20

// WriteYAML writes machines as YAML, the keys of each sorted.
func WriteYAML(w io.Writer, machines []Machine) error {
	list := make([]map[string]any, len(machines))
	for i, m := range machines {
		list[i] = map[string]any{"Name": m.Name}
		for field, value := range m.Fields {
			list[i][field] = value
		}
		if len(m.Params) > 0 {
			list[i]["Params"] = m.Params
		}
	}
	text, err := bundle.MarshalYAML(map[string]any{"machines": list})
	if err == nil {
		_, err = w.Write(text)
	}
	if err != nil {
		return model.Errorf(model.Internal, "cannot write machines: %w", err)
	}
	return nil
}

// ReadYAML reads machines from YAML, or JSON, which is YAML too.
func ReadYAML(raw []byte) ([]Machine, error) {
	decoded, err := bundle.DecodeYAML(raw)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read machines: %w", err)
	}
	top, _ := decoded.(map[string]any)
	list, ok := top["machines"].([]any)
	if !ok || len(top) != 1 {
		return nil, model.Errorf(model.Invalid, "cannot read machines: want a list under the key machines, and nothing else at the top")
	}
	machines := make([]Machine, 0, len(list))
	seen := map[string]bool{}
	for i, entry := range list {
		m, err := machineOf(entry)
		if err == nil && seen[m.Name] {
			err = fmt.Errorf("machine %s is there twice", m.Name)
		}
		if err != nil {
			return nil, model.Errorf(model.Invalid, "cannot read machines: entry %d: %w", i+1, err)
		}
		seen[m.Name] = true
		machines = append(machines, m)
	}
	return machines, nil
}

// machineOf reads one machine.
func machineOf(entry any) (Machine, error) {
	m := Machine{Fields: map[string]any{}, Params: model.Params{}}
	object, ok := entry.(map[string]any)
	if !ok {
		return m, model.Errorf(model.Invalid, "it is no machine: want Name, Params and so on")
	}
	for key, value := range object {
		switch {
		case key == "Name":
			m.Name, ok = value.(string)
		case key == "Params":
			var params map[string]any
			params, ok = value.(map[string]any)
			m.Params = params
		default:
			if ok = known(key); ok {
				m.Fields[key] = value
			}
		}
		if !ok {
			return m, model.Errorf(model.Invalid, "%q is not a field of machines here, or of another type", key)
		}
	}
	if m.Params == nil {
		m.Params = model.Params{}
	}
	for name, value := range m.Params {
		if value == nil {
			delete(m.Params, name)
		}
	}
	if err := m.check(); err != nil {
		return m, err
	}
	_, err := m.New()
	return m, err
}

// known reports whether a file may have the field.
func known(name string) bool {
	for _, field := range fields {
		if field == name {
			return true
		}
	}
	return false
}
