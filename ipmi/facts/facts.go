// Package facts is what a BMC tells of itself and its machine, in one shape
// whatever it was asked in: the answers of getSensors, getSel, getFru,
// getPowerReading and getUsers. What a BMC does not tell is left out and never
// guessed; why it is not there stands beside it.
package facts

import "time"

// Health is how well something is.
type Health string

// The healths. An empty one is not known.
const (
	OK       Health = "OK"
	Warning  Health = "Warning"
	Critical Health = "Critical"
)

// worst orders healths, the worst last.
var worst = map[Health]int{"": 0, OK: 1, Warning: 2, Critical: 3}

// Worse returns the worse of two healths; one that is not known is better than any.
func (h Health) Worse(than Health) Health {
	if worst[than] > worst[h] {
		return than
	}
	return h
}

// Sensors is the answer of getSensors.
type Sensors struct {
	Sensors []Sensor `json:"sensors"`
	// Notes says what could not be read, or was left out.
	Notes []string `json:"notes,omitempty"`
}

// Sensor is one sensor and what it tells now.
type Sensor struct {
	// ID tells it from the others of its BMC: the number of IPMI ("0x30"), or the
	// path of Redfish.
	ID     string `json:"id"`
	Name   string `json:"name"`
	Type   string `json:"type,omitempty"`   // "Temperature"
	Entity string `json:"entity,omitempty"` // what it is on: "processor 1"
	// Reading is what it measures, in Unit. It is not there where there is none,
	// and Unavailable then says why.
	Reading *float64 `json:"reading,omitempty"`
	Unit    string   `json:"unit,omitempty"`
	// States are the states that it tells, of a sensor that measures nothing.
	States      []string    `json:"states,omitempty"`
	Health      Health      `json:"health,omitempty"`
	Unavailable string      `json:"unavailable,omitempty"`
	Thresholds  *Thresholds `json:"thresholds,omitempty"`
}

// Thresholds are the bounds of a reading, in its unit, as far as there are any.
type Thresholds struct {
	LowerNonRecoverable *float64 `json:"lowerNonRecoverable,omitempty"`
	LowerCritical       *float64 `json:"lowerCritical,omitempty"`
	LowerNonCritical    *float64 `json:"lowerNonCritical,omitempty"`
	UpperNonCritical    *float64 `json:"upperNonCritical,omitempty"`
	UpperCritical       *float64 `json:"upperCritical,omitempty"`
	UpperNonRecoverable *float64 `json:"upperNonRecoverable,omitempty"`
}

// Log is the answer of getSel.
type Log struct {
	Entries []Entry `json:"entries"` // the oldest first
	// Free is how many bytes are left; nil if that is not told.
	Free *int `json:"free,omitempty"`
	// Overflow tells that events were lost for want of room.
	Overflow bool `json:"overflow,omitempty"`
	// Added and Erased are when the last event came, and when the log was last
	// erased.
	Added  *time.Time `json:"added,omitempty"`
	Erased *time.Time `json:"erased,omitempty"`
	Notes  []string   `json:"notes,omitempty"`
}

// Entry is one event of a log.
type Entry struct {
	ID string `json:"id"`
	// Time is when it came by the clock of the BMC; nil if that was not set.
	Time       *time.Time `json:"time,omitempty"`
	Kind       string     `json:"kind"`                 // "event", or "OEM" for what only its manufacturer can read
	Sensor     string     `json:"sensor,omitempty"`     // the sensor's name, or its number
	SensorType string     `json:"sensorType,omitempty"` // "Power Supply"
	Event      string     `json:"event,omitempty"`      // "Power Supply Failure detected"
	// Asserted tells that it began, and not that it ended; nil if that is not told.
	Asserted *bool    `json:"asserted,omitempty"`
	Health   Health   `json:"health,omitempty"`
	Reading  *float64 `json:"reading,omitempty"` // what was measured
	Unit     string   `json:"unit,omitempty"`
	Raw      string   `json:"raw,omitempty"` // as it is kept, in hex
}

// Inventory is the answer of getFru.
type Inventory struct {
	Devices []Device `json:"devices"`
	Notes   []string `json:"notes,omitempty"`
}

// Device is what one part of a machine tells of itself.
type Device struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Chassis, Board and Product are what its areas hold.
	Chassis *Part `json:"chassis,omitempty"`
	Board   *Part `json:"board,omitempty"`
	Product *Part `json:"product,omitempty"`
	// Notes says what of it cannot be read.
	Notes []string `json:"notes,omitempty"`
}

// Part is a chassis, a board or a product.
type Part struct {
	Type         string     `json:"type,omitempty"` // of a chassis
	Manufacturer string     `json:"manufacturer,omitempty"`
	Name         string     `json:"name,omitempty"`
	PartNumber   string     `json:"partNumber,omitempty"`
	Version      string     `json:"version,omitempty"`
	SerialNumber string     `json:"serialNumber,omitempty"`
	AssetTag     string     `json:"assetTag,omitempty"`
	Made         *time.Time `json:"made,omitempty"`
	Extra        []string   `json:"extra,omitempty"`
}

// Power is the answer of getPowerReading.
type Power struct {
	Watts   int  `json:"watts"`
	Minimum *int `json:"minimum,omitempty"`
	Maximum *int `json:"maximum,omitempty"`
	Average *int `json:"average,omitempty"`
	// PeriodSeconds is what the three are of.
	PeriodSeconds float64    `json:"periodSeconds,omitempty"`
	Time          *time.Time `json:"time,omitempty"`
	// Limit is how much the machine may take; nil if that is not told.
	Limit *PowerLimit `json:"limit,omitempty"`
}

// PowerLimit bounds what a machine takes.
type PowerLimit struct {
	Active bool   `json:"active"`
	Watts  int    `json:"watts"`
	Action string `json:"action,omitempty"` // what is done when it is exceeded
}

// Users is the answer of getUsers.
type Users struct {
	Users []User   `json:"users"`
	Slots int      `json:"slots,omitempty"` // how many there can be
	Notes []string `json:"notes,omitempty"`
}

// User is an account of a BMC.
type User struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Enabled   *bool  `json:"enabled,omitempty"`   // nil if that is not told
	Privilege string `json:"privilege,omitempty"` // "ADMINISTRATOR", or a role of Redfish
}
