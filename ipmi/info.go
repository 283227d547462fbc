package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/bougou/go-ipmi/pkg/command/app"

	"provision-plugins/shared/model"
)

// getInfo is the action that tells what a BMC is.
const getInfo = "getInfo"

// info is what a BMC tells of itself: numbers in the form in which the tools of the
// trade print them.
type info struct {
	DeviceID         uint8  `json:"deviceId"`
	DeviceRevision   uint8  `json:"deviceRevision"`
	FirmwareRevision string `json:"firmwareRevision"`
	// FirmwareAux are the four bytes that the manufacturer gives a meaning, in hex.
	FirmwareAux    string `json:"firmwareAux,omitempty"`
	IPMIVersion    string `json:"ipmiVersion"`
	ManufacturerID string `json:"manufacturerId"` // an IANA enterprise number
	ProductID      uint16 `json:"productId"`
	// Busy tells that the BMC updates or initializes itself.
	Busy bool `json:"busy,omitempty"`
	// Identity is the GUID, or the serial number of a BMC without one.
	Identity *model.Identity `json:"identity,omitempty"`
	// Watts is what the machine takes.
	Watts *uint16 `json:"watts,omitempty"`
	// Untold says why a field that not every BMC has is not there.
	Untold map[string]string `json:"untold,omitempty"`
}

// Info is the answer of getInfo.
func (s *session) Info(ctx context.Context) (any, error) { return s.info(ctx) }

// info reads what the BMC is (IPMI 2.0 §20.1), and what not every BMC tells: who it
// is, and what its machine takes.
func (s *session) info(ctx context.Context) (*info, error) {
	res, err := s.deviceID(ctx)
	if err != nil {
		return nil, err
	}
	out := infoOf(res)
	missing := func(field string, err error) error {
		if err == nil || !lacking(err) {
			return err
		}
		if out.Untold == nil {
			out.Untold = map[string]string{}
		}
		out.Untold[field] = reason(err)
		return nil
	}
	id, err := s.Identity(ctx)
	if err == nil {
		out.Identity = &id
	}
	if err := missing("identity", err); err != nil {
		return nil, err
	}
	watts, err := s.watts(ctx)
	if err == nil {
		out.Watts = &watts
	}
	if err := missing("watts", err); err != nil {
		return nil, err
	}
	return out, nil
}

// infoOf spells what a BMC says that it is. Both versions are of BCD digits, the
// firmware's major number is not.
func infoOf(res *app.GetDeviceIDResponse) *info {
	out := &info{
		DeviceID: res.DeviceID, DeviceRevision: res.DeviceRevision,
		FirmwareRevision: fmt.Sprintf("%d.%02d", res.MajorFirmwareRevision, res.MinorFirmwareRevision),
		IPMIVersion:      fmt.Sprintf("%d.%d", res.MajorIPMIVersion, res.MinorIPMIVersion),
		ManufacturerID:   strconv.FormatUint(uint64(res.ManufacturerID), 10),
		ProductID:        res.ProductID, Busy: !res.DeviceAvailable,
	}
	if len(res.AuxiliaryFirmwareRevision) > 0 {
		out.FirmwareAux = fmt.Sprintf("%x", res.AuxiliaryFirmwareRevision)
	}
	return out
}
