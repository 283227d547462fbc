package main

import (
	"encoding/json"
	"strconv"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
)

// identifyParam says for how many seconds the locator is lit.
const identifyParam = "ipmi/identify-duration"

// newIdentifyCommand makes "identify", the locator.
func newIdentifyCommand(a *app) *cobra.Command {
	var off bool
	var lit int
	var cmd *cobra.Command
	cmd, _ = newActionCommand(a, "identify", "Light the locator of machines", true, func(*actionOptions) (actionCall, error) {
		call := actionCall{verb: "identify", command: model.Identify, params: model.Params{}}
		forSet := cmd.Flags().Changed("for")
		switch {
		case off && forSet:
			return call, usage("--off and --for exclude each other")
		case off:
			call.verb += " --off"
			call.params[identifyParam] = json.Number("0")
		case forSet && lit < 1:
			return call, usage("--for must be at least 1 second, not %d; --off switches off", lit)
		case forSet:
			call.params[identifyParam] = json.Number(strconv.Itoa(lit))
		}
		return call, nil
	})
	cmd.Flags().BoolVar(&off, "off", false, "switch the locator off")
	cmd.Flags().IntVar(&lit, "for", 0, "light it for this many `SECONDS` (default: as the machine's params say)")
	return cmd
}
