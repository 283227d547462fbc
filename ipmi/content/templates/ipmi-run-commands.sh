#!/usr/bin/env bash
# Runs the ipmitool commands of ipmi/extra-ipmi-commands. Words are split at blanks;
# nothing in them is run by the shell. They are not printed, since one may hold a secret.
set -euo pipefail
{{ template "ipmi-lib.sh" . }}
need ipmitool jq drpcli
has_bmc || exit 0
commands=$(drpcli machines get "$machine" param ipmi/extra-ipmi-commands --aggregate --decode) ||
	fail "read ipmi/extra-ipmi-commands: the endpoint does not tell it"
readarray -t list < <(jq -r 'if . == null then empty else .[] end' <<<"$commands")
n=0
for line in ${list[@]+"${list[@]}"}; do
	n=$((n + 1))
	read -r -a words <<<"$line"
	if ((${#words[@]} == 0)); then continue; fi
	if [[ ${words[0]} == ipmitool ]]; then words=("${words[@]:1}"); fi
	if ! ipmitool "${words[@]}" </dev/null; then
		fail "run command $n of ipmi/extra-ipmi-commands: ipmitool failed; those after it were not run"
	fi
	say "command $n of ${#list[@]} is done"
done
if ((n == 0)); then say "ipmi/extra-ipmi-commands is empty: nothing to do"; fi
