#!/usr/bin/env bash
# Gives the machine the profile with the kernel console of these servers.
set -euo pipefail

profile=packet-console
if drpcli machines show "$RS_UUID" | jq -e --arg p "$profile" '.Profiles // [] | index($p) != null' >/dev/null; then
	echo "the machine has profile $profile already"
	exit 0
fi
drpcli machines addprofile "$RS_UUID" "$profile" >/dev/null
echo "profile $profile added"
