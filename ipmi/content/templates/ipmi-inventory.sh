#!/usr/bin/env bash
# Sets the params of the machine to what its BMC tells of its network.
set -euo pipefail
{{ template "ipmi-lib.sh" . }}
force_channel={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/force-lan-chan") }}
force_protocol={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/force-protocol") }}
prefer_v6={{ template "ipmi-quote.sh" (.Param "ipmi/prefer-v6") }}
reserve_ip={{ template "ipmi-quote.sh" (.Param "ipmi/configure/reserve-ip") }}
{{ template "ipmi-info-keys.sh" . }}
{{ template "ipmi-process-quirks.sh" . }}
# choose prints which of the two addresses is the one to use, nothing without one.
choose() {
	local first=v4 second=v6
	if [[ $prefer_v6 == true ]]; then
		first=v6 second=v4
	fi
	if [[ -n $force_protocol ]]; then
		first=$force_protocol second=$force_protocol
	fi
	local which
	for which in "$first" "$second"; do
		local -n lan_info=$which
		if [[ -n ${lan_info[address]:-} ]]; then
			say "$which"
			return
		fi
	done
}

# put_all PROTOCOL SUFFIX sets the params of one protocol. ipmi/address-v6 has the
# prefix length in it.
put_all() {
	local -n found=$1
	local key value
	for key in address netmask gateway ipsrc; do
		value=${found[$key]:-}
		if [[ $key$2 == address-v6 ]]; then value+=/${found[netmask]}; fi
		if [[ -n $value ]]; then put "ipmi/$key$2" "$value"; fi
	done
}

# reserve keeps the address that DHCP gave for the BMC.
reserve() {
	if [[ $reserve_ip != true || ${v4[ipsrc]} != *DHCP* || -z ${v4[address]} || -z ${v4[macaddr]} ]]; then
		return
	fi
	if drpcli reservations exists "${v4[address]}" >/dev/null 2>&1; then
		return
	fi
	if jq -n --arg a "${v4[address]}" --arg m "${v4[macaddr]}" '{Addr: $a, Token: $m, Strategy: "MAC"}' |
		drpcli reservations create - >/dev/null; then
		say "${v4[address]} is reserved for the BMC"
	else
		warn "${v4[address]} is not reserved: the endpoint refused"
	fi
}

need ipmitool jq drpcli
has_bmc || exit 0
load_quirks
channel=$(lan_channel) || fail "read the network of the BMC: no channel is a LAN's; set ipmi/force-lan-chan"
read_v4 "$channel" || fail "read the network of the BMC: ipmitool lan print $channel failed"
if quirk ipmi-no-ipv6 || ! read_v6 "$channel"; then
	v6=()
fi
if [[ -n ${v4[macaddr]} ]]; then put ipmi/macaddr "${v4[macaddr]}"; fi
put_all v4 -v4
if [[ -n ${v6[address]:-} ]]; then
	put_all v6 -v6
fi
protocol=$(choose)
[[ -n $protocol ]] || fail "use the BMC: it has no${force_protocol:+ $force_protocol} address; see ipmi/configure/network"
put_all "$protocol" ''
reserve
say "the BMC is at the ${protocol/v/IPv} address on channel $channel"
