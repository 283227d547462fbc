package redfish

import "net/http"

// dialect is what a kind of BMC does in its own way, beside the resources in
// data/NAME.json.
type dialect struct {
	name                     string
	system, manager, chassis string // Ids of the resources
	slash                    bool   // links end with a slash
	fullLocation             bool   // Location is a whole URL
	header                   string // Server of each answer

	// The status of success of an action, a reset, a PATCH and a DELETE. With 200
	// comes a message, or the resource if patched is set.
	action, reset, patch, remove int
	patched                      bool
	bare                         bool   // messages have an id and arguments only
	wrap                         string // the object that holds the messages of success
	registry, code               string // of messages; of the error around them

	sameState    int      // status of a reset for what is so already; 0 is success
	transitional bool     // PowerState says PoweringOn and PoweringOff
	modeReadOnly bool     // BootSourceOverrideMode cannot be patched
	forgetsMode  bool     // a PATCH of Boot without a mode sets the default one
	needsETag    bool     // a PATCH without If-Match is refused
	expand       bool     // $expand works
	keepsImage   bool     // a virtual medium tells its image when it was ejected
	mode         string   // BootSourceOverrideMode at first
	leds         []string // states an IndicatorLED can be set to; nil are all
	resets       []string // reset types in the order they are listed
	targets      []string // boot targets in the order they are listed
	taskPrefix   string   // before the number in the Id of a task
}

// dialects lists the kinds of BMCs. Sources: the guides of the vendors' Redfish
// services, bmcweb's list of what it implements, and mockups they published.
var dialects = []dialect{
	{
		name: "generic", system: "1", manager: "BMC", chassis: "1",
		action: http.StatusNoContent, reset: http.StatusNoContent, patch: http.StatusOK, remove: http.StatusNoContent, patched: true,
		registry: "Base.1.18", code: "Base.1.18.GeneralError", transitional: true, expand: true, mode: "UEFI",
		resets:  []string{"On", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart", "Nmi", "ForceOn", "PushPowerButton", "PowerCycle"},
		targets: []string{"None", "Pxe", "Cd", "Usb", "Hdd", "BiosSetup", "UefiTarget", "UefiHttp"},
	},
	{
		name: "idrac", system: "System.Embedded.1", manager: "iDRAC.Embedded.1", chassis: "System.Embedded.1",
		action: http.StatusNoContent, reset: http.StatusNoContent, patch: http.StatusOK, remove: http.StatusOK,
		registry: "Base.1.12", code: "Base.1.12.GeneralError", sameState: http.StatusConflict, expand: true, mode: "UEFI",
		resets:     []string{"On", "ForceOff", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PushPowerButton", "Nmi", "PowerCycle"},
		targets:    []string{"None", "Pxe", "Floppy", "Cd", "Hdd", "BiosSetup", "Utilities", "UefiTarget", "SDCard", "UefiHttp"},
		taskPrefix: "JID_",
	},
	{
		name: "ilo", system: "1", manager: "1", chassis: "1", slash: true, fullLocation: true, header: "HPE-iLO-Server/1.30",
		action: http.StatusOK, reset: http.StatusOK, patch: http.StatusOK, remove: http.StatusOK, bare: true, wrap: "error",
		registry: "Base.1.4", code: "iLO.0.10.ExtendedInfo", sameState: http.StatusBadRequest, modeReadOnly: true, mode: "UEFI", leds: []string{"Off", "Lit"},
		resets:  []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi", "PushPowerButton", "GracefulRestart"},
		targets: []string{"None", "Cd", "Hdd", "Usb", "SDCard", "Utilities", "Diags", "BiosSetup", "Pxe", "UefiShell", "UefiHttp", "UefiTarget"},
	},
	{
		name: "openbmc", system: "system", manager: "bmc", chassis: "chassis",
		action: http.StatusNoContent, reset: http.StatusNoContent, patch: http.StatusNoContent, remove: http.StatusOK,
		registry: "Base.1.19", code: "Base.1.19.GeneralError", transitional: true, expand: true, mode: "UEFI",
		resets:  []string{"On", "ForceOff", "ForceOn", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PowerCycle", "Nmi"},
		targets: []string{"None", "Pxe", "Hdd", "Cd", "Diags", "BiosSetup", "Usb"},
	},
	{
		name: "supermicro", system: "1", manager: "1", chassis: "1",
		action: http.StatusOK, reset: http.StatusOK, patch: http.StatusOK, remove: http.StatusOK, wrap: "Success",
		registry: "Base.v1_4_0", code: "Base.v1_4_0.GeneralError", forgetsMode: true, keepsImage: true, mode: "Legacy",
		resets:  []string{"On", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart", "Nmi", "ForceOn"},
		targets: []string{"None", "Pxe", "Floppy", "Cd", "Usb", "Hdd", "BiosSetup", "UsbCd", "UefiBootNext", "UefiUsbCd", "UefiHttp"},
	},
}

// Dialects lists the kinds of BMCs there are.
func Dialects() []string {
	names := make([]string, len(dialects))
	for i := range dialects {
		names[i] = dialects[i].name
	}
	return names
}

// dialectNamed returns the dialect of that name; nil if there is none.
func dialectNamed(name string) *dialect {
	for i := range dialects {
		if dialects[i].name == name {
			return &dialects[i]
		}
	}
	return nil
}
