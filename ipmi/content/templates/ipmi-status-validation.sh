#!/usr/bin/env bash
# Fails where the BMC tells by Redfish that something in the machine is not well.
set -euo pipefail
{{ template "ipmi-lib.sh" . }}
skip={{ template "ipmi-quote.sh" (.Param "ipmi/skip-status-validation") }}
if [[ $skip == true ]]; then
	say "ipmi/skip-status-validation is set: nothing to check"
	exit 0
fi
need jq drpcli
has_bmc || exit 0
status=$(drpcli machines runaction "$machine" status ipmi/mode redfish) ||
	fail "check the machine's health: the action status failed"
bad=$(jq -r 'if type == "object" then to_entries[] | select(.key | endswith("Status")) | select(.value != "OK" and .value != "") | "\(.key) \(.value)" else error("no object") end' <<<"$status" 2>/dev/null) ||
	fail "check the machine's health: the answer of status is not known"
[[ -z $bad ]] || fail "accept the machine: ${bad//$'\n'/, }"
say "the BMC tells that all is well"
