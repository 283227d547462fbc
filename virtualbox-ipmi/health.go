package main

import (
	"context"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// health is the answer of status. Its first keys are those that every driver
// has; what VirtualBox tells nothing of is empty.
type health struct {
	Status              string
	ProcessorStatus     string
	MemoryStatus        string
	EthernetStatus      string
	StorageStatus       string
	SimpleStorageStatus string

	State    model.PowerState `json:"state,omitempty"`
	Word     string           `json:"word,omitempty"` // VirtualBox's own for it
	Note     string           `json:"note,omitempty"`
	Name     string           `json:"name,omitempty"`
	UUID     string           `json:"uuid,omitempty"`
	Hardware string           `json:"hardwareUuid,omitempty"`
	Firmware string           `json:"firmware,omitempty"`
	MemoryMB int              `json:"memoryMb,omitempty"`
	CPUs     int              `json:"cpus,omitempty"`
	NICs     []healthNIC      `json:"nics,omitempty"`
	Version  string           `json:"virtualbox,omitempty"`
}

// healthNIC is one adapter.
type healthNIC struct {
	Kind    string `json:"kind"`
	Network string `json:"network,omitempty"`
	MAC     string `json:"mac"`
	Cable   bool   `json:"cable"`
}

// The values of a status.
const (
	healthOK       = "OK"
	healthWarning  = "Warning"
	healthCritical = "Critical"
)

// Health tells how the VM is. One that is inaccessible is critical, and no error.
func (s *session) Health(ctx context.Context) (any, error) {
	info, err := s.info(ctx)
	if model.KindOf(err) == model.Conflict {
		return health{Status: healthCritical, State: model.StateUnknown, Word: "inaccessible", UUID: s.id, Note: model.AsError(err).Text()}, nil
	}
	if err != nil {
		return nil, err
	}
	h := healthOf(info, time.Now())
	if v, err := s.vm.Version(ctx); err == nil {
		h.Version = v.Text
	}
	return h, nil
}

// healthOf is the health of a VM that was read.
func healthOf(info *vbox.Info, now time.Time) health {
	reading := powerOf(info, now)
	h := health{
		State: reading.State, Word: info.State.Word, Note: info.State.Note, Name: info.Name, UUID: info.UUID, Hardware: info.HardwareUUID,
		Firmware: info.Firmware, MemoryMB: info.MemoryMB, CPUs: info.CPUs,
	}
	h.Status = healthOK
	switch {
	case info.State.Word == vbox.WordGuru:
		h.Status, h.ProcessorStatus = healthCritical, healthCritical
	case info.State.Word == vbox.WordAborted, info.State.Word == vbox.WordAbortedSaved, reading.State == model.StateUnknown:
		h.Status = healthWarning
	}
	for _, n := range info.NICs {
		h.NICs = append(h.NICs, healthNIC{Kind: n.Kind, Network: n.Network, MAC: n.MAC, Cable: n.Cable})
		if !n.Cable {
			h.EthernetStatus = healthWarning
		}
	}
	if h.EthernetStatus == "" && len(h.NICs) > 0 {
		h.EthernetStatus = healthOK
	}
	return h
}
