#!/usr/bin/env bash
# Fails where the address of the BMC and its gateway are not in one subnet.
set -euo pipefail
{{ template "ipmi-lib.sh" . }}
need jq drpcli
has_bmc || exit 0
read_param address ipmi/address
read_param gateway ipmi/gateway
read_param netmask ipmi/netmask
[[ -n ${address:=} ]] || fail "check the network of the BMC: ipmi/address is not set; run the stage ipmi-inventory"
if [[ -z ${gateway:=} || $gateway == 0.0.0.0 || $gateway == :: ]]; then
	say "the BMC has no gateway: nothing to check"
	exit 0
fi
same_subnet "$address" "$gateway" "${netmask:=}" ||
	fail "use the network of the BMC: $address and its gateway $gateway are not in one subnet with netmask $netmask"
say "$address and its gateway $gateway are in one subnet"
