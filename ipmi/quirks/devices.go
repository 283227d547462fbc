package quirks

import (
	"fmt"
	"slices"
)

// Device is what a BMC says it is (IPMI 2.0 §20.1).
type Device struct {
	Manufacturer uint32 // IANA enterprise number
	Product      uint16
	Major, Minor uint8 // of the firmware
}

// String names the device.
func (d Device) String() string {
	who := "manufacturer " + fmt.Sprint(d.Manufacturer)
	if i := slices.IndexFunc(makers, func(m maker) bool { return m.id == d.Manufacturer }); i >= 0 {
		who = makers[i].name
	}
	return fmt.Sprintf("%s, product %d, firmware %d.%02d", who, d.Product, d.Major, d.Minor)
}

// maker is a manufacturer.
type maker struct {
	id   uint32
	name string
}

// makers are the manufacturers whose number (IANA enterprise numbers) people
// would rather read as a name.
var makers = []maker{
	{2, "IBM"}, {11, "HP"}, {42, "Sun"}, {111, "Oracle"}, {343, "Intel"}, {674, "Dell"}, {5771, "Cisco"},
	{7154, "IPMI forum"}, {10368, "Fujitsu"}, {10876, "Supermicro"}, {19046, "Lenovo"}, {47196, "HPE"},
	{47488, "Supermicro"}, {49871, "OpenBMC"},
}

// AnyProduct in a row stands for all of a manufacturer's products.
const AnyProduct = -1

// Entry is one row of the table of devices.
type Entry struct {
	Manufacturer uint32
	Product      int // or AnyProduct
	Name         string
	Set          Set
	Reason       string
	Source       string
}

// devices is the table of devices. Where only some products of a manufacturer
// are known to need a flag, and their numbers are not, it stands here only if it
// does the others no harm.
var devices = []Entry{
	{674, AnyProduct, "Dell", OffErrors, "off when off is refused on some models, and succeeds on others", "bmclib#382 and bmclib#417"},
	{10876, AnyProduct, "Supermicro", NoChecksumCheck, "X9 boards; harmless on others", "FreeIPMI, workaround nochecksumcheck"},
	{47488, AnyProduct, "Supermicro", NoChecksumCheck, "as 10876, the number of other firmware of theirs", "FreeIPMI, workaround nochecksumcheck"},
	{49871, AnyProduct, "OpenBMC", OffErrors | NoRestartCause, "FFh where D5h is meant; the restart cause is not kept", "openbmc#3253, op-test#592"},
}

// Devices returns the table of devices.
func Devices() []Entry { return slices.Clone(devices) }

// Of returns the flags a device is known for.
func Of(d Device) Set {
	var s Set
	for i := range devices {
		e := &devices[i]
		if e.Manufacturer == d.Manufacturer && (e.Product == AnyProduct || e.Product == int(d.Product)) {
			s |= e.Set
		}
	}
	return s
}
