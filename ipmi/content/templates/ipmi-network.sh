# Sets the network of the BMC. What is so already is not written again.

# lan WORD... runs one "ipmitool lan set" on the channel.
lan() {
	ipmitool lan set "$channel" "$@" >/dev/null || fail "set $1 of the BMC: ipmitool lan set failed"
	changed=yes
	settle 1
}

# lan6 WORD... runs one "ipmitool lan6 set" on the channel.
lan6() {
	ipmitool lan6 set "$channel" nolock "$@" >/dev/null || fail "set $1 of the BMC: ipmitool lan6 set failed"
	changed=yes
	settle 1
}

# configure_port chooses between a port of the BMC's own and one of the machine's.
configure_port() {
	[[ -n $port ]] || return 0
	quirk ipmi-dell-dedicated-nic || fail "set the network port: no command is known for it on this BMC; unset ipmi/configure/port"
	local now
	now=$(ipmitool delloem lan get 2>/dev/null) || now=
	[[ ${now,,} == *"$port"* ]] && return
	ipmitool delloem lan set "$port" >/dev/null || fail "set the network port: ipmitool delloem lan set failed"
	changed=yes
	settle 5
}

# configure_v4 sets IPv4 of the BMC.
configure_v4() {
	if [[ $ip_mode == dhcp ]]; then
		[[ ${v4[ipsrc]} == *DHCP* ]] || lan ipsrc dhcp
		return
	fi
	[[ ${v4[ipsrc]} == *Static* ]] || lan ipsrc static
	[[ ${v4[address]} == "$address" ]] || lan ipaddr "$address"
	[[ ${v4[netmask]} == "$netmask" ]] || lan netmask "$netmask"
	[[ -z $gateway || ${v4[gateway]} == "$gateway" ]] || lan defgw ipaddr "$gateway"
}

# configure_v6 sets IPv6 of the BMC.
configure_v6() {
	! quirk ipmi-no-ipv6 || fail "set IPv6 of the BMC: this one has none"
	read_v6 "$channel" || fail "set IPv6 of the BMC: ipmitool lan6 print $channel failed"
	if [[ $ip_mode == dhcp ]]; then
		[[ -n ${v6[address]} && ${v6[ipsrc]} != static ]] && return
		lan6 enables both
		lan6 rtr_cfg dynamic
		return
	fi
	[[ ${v6[address]} == "$address" && ${v6[netmask]} == "$netmask" && ${v6[ipsrc]} == static ]] && return
	lan6 enables both
	lan6 static_addr 0 enable "$address" "$netmask"
	if [[ -n $gateway ]]; then
		lan6 rtr_cfg static
		lan6 static_rtr 1 addr "$gateway"
	fi
}

# check_static refuses what would make the BMC unreachable before it is written.
check_static() {
	[[ -n $address && -n $netmask ]] || fail "set a static address: ipmi/configure/address and ipmi/configure/netmask are needed"
	if [[ $address == *:* ]]; then
		if ! ipv6_groups "$address" >/dev/null || [[ ! $netmask =~ ^[0-9]{1,3}$ ]] || ((netmask > 128)); then
			fail "set a static address: $address with prefix length $netmask is no IPv6 address"
		fi
	elif ! ipv4_number "$address" >/dev/null || ! mask_bits "$netmask" >/dev/null; then
		fail "set a static address: $address with netmask $netmask is no IPv4 address"
	fi
	if [[ -n $gateway ]] && ! same_subnet "$address" "$gateway" "$netmask"; then
		fail "set a static address: $address and its gateway $gateway are not in one subnet with netmask $netmask"
	fi
}

# configure_network sets all that the params tell of the network.
configure_network() {
	local protocol=${force_protocol:-v4}
	if [[ $ip_mode == static ]]; then
		check_static
		protocol=v4
		if [[ $address == *:* ]]; then protocol=v6; fi
		[[ -z $force_protocol || $force_protocol == "$protocol" ]] ||
			fail "set a static address: $address is not of the protocol that ipmi/force-protocol names"
	fi
	configure_port
	read_v4 "$channel" || fail "set the network: ipmitool lan print $channel failed"
	if [[ $protocol == v6 ]]; then configure_v6; else configure_v4; fi
	[[ -z $hostname ]] || vendor_set hostname "$hostname"
	[[ -z $domain ]] || vendor_set domain "$domain"
	[[ -z $timezone ]] || vendor_set timezone "$timezone"
	((${#dns_servers[@]} == 0)) || vendor_set dns "${dns_servers[@]}"
	((${#ntp_servers[@]} == 0)) || vendor_set ntp "${ntp_servers[@]}"
}
