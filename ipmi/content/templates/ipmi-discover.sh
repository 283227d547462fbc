#!/usr/bin/env bash
# Finds out whether the machine has a BMC, and sets ipmi/enabled.
set -euo pipefail
{{ template "ipmi-lib.sh" . }}
fatal={{ template "ipmi-quote.sh" (.Param "ipmi/configure/no-bmc-fatal") }}

# answers tries five times, with longer waits between, whether the BMC answers.
answers() {
	local try
	for try in 1 2 3 4 5; do
		if ipmitool mc info >/dev/null 2>&1; then return; fi
		if ((try < 5)); then sleep "$try"; fi
	done
	return 1
}

need ipmitool jq drpcli
for module in ipmi_msghandler ipmi_devintf ipmi_si ipmi_ssif; do
	modprobe -q "$module" || say "kernel module $module is not loaded"
done
if ! answers; then
	if ipmitool mc reset cold >/dev/null 2>&1; then
		say "the BMC did not answer and is being reset"
		sleep 60
	fi
	if ! answers; then
		put_json ipmi/enabled false
		if [[ $fatal == true ]]; then
			fail "find a BMC: none answers, and ipmi/configure/no-bmc-fatal is set"
		fi
		say "no BMC answers"
		exit 0
	fi
fi
put_json ipmi/enabled true
say "a BMC answers"
