package main

import (
	"strings"
	"testing"

	"provision-plugins/ipmi/facts"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// byName finds a sensor.
func byName(t *testing.T, all *facts.Sensors, name string) facts.Sensor {
	t.Helper()
	for _, s := range all.Sensors {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no sensor %s in %+v", name, all)
	return facts.Sensor{}
}

// Sensors are told as they are: what they measure in its unit, their states, their
// health, and their thresholds.
func TestSensors(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	b.SetSensor(bmc.InletTemp, bmc.SensorState{Reading: 0xfb})
	b.SetSensor(bmc.P12V, bmc.SensorState{Reading: 211})
	b.SetSensor(bmc.PS2Status, bmc.SensorState{States: 0x3})
	all := answer[*facts.Sensors](t, getSensors, b)
	if len(all.Sensors) != 8 || all.Notes != nil {
		t.Errorf("%d sensors, %v", len(all.Sensors), all.Notes)
	}
	for name, want := range map[string]struct {
		value  float64
		unit   string
		health facts.Health
	}{
		"Inlet Temp": {-5, "degrees C", facts.Critical}, "CPU1 Temp": {51, "degrees C", facts.OK}, "Fan 1": {5400, "RPM", facts.OK},
		"P12V": {12.66, "Volts", facts.Warning}, "Airflow": {280, "CFM", facts.OK},
	} {
		got := byName(t, all, name)
		if got.Reading == nil || *got.Reading != want.value || got.Unit != want.unit || got.Health != want.health || got.Unavailable != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	inlet := byName(t, all, "Inlet Temp")
	if b := inlet.Thresholds; b == nil || *b.LowerNonRecoverable != -10 || *b.UpperCritical != 42 || inlet.ID != "0x30" || inlet.Type != "Temperature" {
		t.Errorf("%+v", inlet)
	}
	if b := byName(t, all, "Fan 1").Thresholds; b == nil || b.UpperCritical != nil || *b.LowerCritical != 600 {
		t.Errorf("%+v", b)
	}
	if supply := byName(t, all, "PS2 Status"); supply.Reading != nil || len(supply.States) != 2 || supply.Health != facts.Critical || supply.Unit != "" {
		t.Errorf("%+v", supply)
	}
}

// A reading that the BMC does not have is none, whatever it sends in its place.
func TestSensorsUnavailable(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	b.SetSensor(bmc.Fan1, bmc.SensorState{Unavailable: true})
	b.SetSensor(bmc.Fan2, bmc.SensorState{Reading: 7, Unscanned: true})
	all := answer[*facts.Sensors](t, getSensors, b)
	for _, name := range []string{"Fan 1", "Fan 2"} {
		if got := byName(t, all, name); got.Reading != nil || got.Health != "" || got.Unavailable == "" || got.Thresholds == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	b.SetPower(false)
	all = answer[*facts.Sensors](t, getSensors, b)
	if got := byName(t, all, "Airflow"); got.Reading != nil || got.Unavailable == "" {
		t.Errorf("while off: %+v", got)
	}
}

// What goes wrong with a repository, and what is told then.
func TestSensorsOfOddBMCs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		options bmc.Options
		faults  bmc.Faults
		sensors int
		kind    model.Kind
		lacking string // what one sensor says
	}{
		{name: "none", options: bmc.Options{Sensors: []bmc.Sensor{}}},
		{name: "records in parts", faults: bmc.Faults{Odd: bmc.Odd{RecordMost: 10}}, sensors: 8},
		{name: "a reservation is lost", faults: bmc.Faults{Odd: bmc.Odd{RecordMost: 32, LosesReservations: 1}}, sensors: 8},
		{name: "reservations are lost always", faults: bmc.Faults{Odd: bmc.Odd{RecordMost: 32, LosesReservations: 1000}}, kind: model.Busy},
		{name: "no repository", faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SDRInfo: 0xc1}}}, kind: model.Unsupported},
		{name: "no readings", faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SensorRead: 0xcd}}}, sensors: 8, lacking: "CDh"},
		{name: "no factors", faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SensorFactors: 0xcb}}}, sensors: 8, lacking: "CBh"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.options.On = true
			b := startBMC(t, row.options)
			b.SetFaults(row.faults)
			result, err := ask(newProvider(t), getSensors, b.Addr(), model.Params{"oob/timeout": 10})
			if kindOf(err) != row.kind {
				t.Fatalf("%v, %v", result, err)
			}
			if row.kind != "" {
				return
			}
			got := result.(*facts.Sensors)
			if len(got.Sensors) != row.sensors {
				t.Errorf("%d sensors", len(got.Sensors))
			}
			if row.lacking != "" && !strings.Contains(byName(t, got, "Airflow").Unavailable, row.lacking) {
				t.Errorf("%+v", byName(t, got, "Airflow"))
			}
		})
	}
}

// The repository is read once, as long as the BMC says that it is the same.
func TestRepositoryIsRemembered(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	p := newProvider(t)
	for i, want := range []int{12, 12, 24} {
		if i == 2 {
			b.SetFaults(bmc.Faults{Odd: bmc.Odd{RepositoryAge: 1}})
		}
		if _, err := ask(p, getSensors, b.Addr()); err != nil {
			t.Fatal(err)
		}
		if n := b.Executed(bmc.SDRGet); n != want {
			t.Errorf("time %d: %d records read in all, want %d", i+1, n, want)
		}
	}
}

// What is remembered of many BMCs is bounded.
func TestRepositoriesAreBounded(t *testing.T) {
	t.Parallel()
	var m repositories
	for i := range 3 * maxRepositories {
		m.put(addrOf(i), &repository{records: manyRecords(100)})
		if len(m.of) > maxRepositories || m.records > maxRemembered || m.records != 100*len(m.of) {
			t.Fatalf("%d repositories with %d records", len(m.of), m.records)
		}
	}
	m.put(addrOf(0), &repository{records: manyRecords(7)})
	m.put(addrOf(0), &repository{records: manyRecords(8)})
	if got := m.get(addrOf(0), m.of[addrOf(0)].stamp); got == nil || len(got.records) != 8 {
		t.Errorf("%+v", got)
	}
}

// Inventories are those of the BMC and of what its records name; garbage on one is
// told of that one.
func TestInventories(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{Sessions: 20})
	got := answer[*facts.Inventory](t, getFru, b)
	if len(got.Devices) != 2 || got.Notes != nil {
		t.Fatalf("%+v", got)
	}
	own, supply := got.Devices[0], got.Devices[1]
	if own.Chassis == nil || own.Chassis.Type != "Rack Mount Chassis" || own.Board.Manufacturer != "Simulated" || own.Product.Version != "1.0" || own.Name != "Builtin FRU" || own.Notes != nil {
		t.Errorf("%+v", own)
	}
	if supply.Board != nil || supply.Product.SerialNumber != "PSU-0001" || supply.ID != "1" || supply.Product.PartNumber != "P-750" {
		t.Errorf("%+v", supply)
	}
	for name, garbage := range map[string][]byte{
		"none at all": {}, "zeros": make([]byte, 64), "text": []byte(strings.Repeat("garbage!", 20)),
		"an area that is not there": {1, 0, 0, 0xf0, 0, 0, 0, 0x0f}, "cut off": {1, 0, 0, 1, 0, 0, 0, 0xfe, 1, 30, 0, 0, 0, 0, 0xff},
	} {
		b.SetFaults(bmc.Faults{Odd: bmc.Odd{Inventory: garbage}})
		got := answer[*facts.Inventory](t, getFru, b)
		if len(got.Devices) != 2 || len(got.Devices[0].Notes) == 0 || got.Devices[1].Product == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	b.SetFaults(bmc.Faults{Odd: bmc.Odd{FRUWords: true, Codes: map[string]uint8{bmc.SDRInfo: 0xc1}}})
	if got := answer[*facts.Inventory](t, getFru, b); len(got.Devices) != 1 || len(got.Notes) != 1 || got.Devices[0].Product.Name != "Machine" {
		t.Errorf("by words: %+v", got)
	}
}

// What the machine takes, and may take.
func TestPower(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true, Watts: 230, WattsLimit: 500})
	got := answer[*facts.Power](t, getPowerReading, b)
	if got.Watts != 230 || *got.Average != 230 || got.PeriodSeconds != 1 || got.Time == nil || got.Limit == nil || !got.Limit.Active || got.Limit.Watts != 500 || got.Limit.Action != "nothing" {
		t.Errorf("%+v", got)
	}
	if got := answer[*facts.Power](t, getPowerReading, startBMC(t, bmc.Options{Watts: 230})); got.Watts != 23 || got.Limit == nil || got.Limit.Active {
		t.Errorf("%+v", got)
	}
	b.SetFaults(bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.PowerLimit: 0xc1}}})
	if got := answer[*facts.Power](t, getPowerReading, b); got.Limit != nil {
		t.Errorf("%+v", got)
	}
	if _, err := ask(newProvider(t), getPowerReading, startBMC(t, bmc.Options{}).Addr()); model.KindOf(err) != model.Unsupported {
		t.Error(err)
	}
}

// The policy is set, and what is told of it was read back.
func TestRestorePolicy(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	set := func(policy string) (model.Result, error) {
		result, err := ask(newProvider(t), setRestorePolicy, b.Addr(), model.Params{paramRestore: policy})
		out, _ := result.(model.Result)
		return out, err
	}
	for i, want := range []bool{true, false} {
		got, err := set("always-on")
		if err != nil || got.Outcome != model.Verified || *got.Changed != want || !strings.Contains(got.Evidence, "is always-on") || b.Executed(bmc.RestorePolicy) != 1 {
			t.Errorf("time %d: %+v, %v", i+1, got, err)
		}
	}
	if _, err := set("sometimes"); model.KindOf(err) != model.Invalid {
		t.Error(err)
	}
	b.SetFaults(bmc.Faults{Ignore: map[string]int{bmc.RestorePolicy: bmc.Always}})
	if _, err := set("previous"); model.KindOf(err) != model.Conflict {
		t.Error(err)
	}
}
