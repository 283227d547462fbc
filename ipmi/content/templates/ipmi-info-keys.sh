# What the lines of "ipmitool lan print" are called, and the params they become.
declare -A info_keys=(
	["IP Address Source"]=ipsrc
	["IP Address"]=address
	["Subnet Mask"]=netmask
	["MAC Address"]=macaddr
	["Default Gateway IP"]=gateway
)

# lan_channel prints the LAN channel to use.
lan_channel() {
	local n
	if [[ -n $force_channel ]]; then
		say "$force_channel"
		return
	fi
	for n in 1 2 3 4 5 6 7 8 9 10 11; do
		if is_lan "$n"; then
			say "$n"
			return
		fi
	done
	return 1
}

# is_lan CHANNEL tells whether a channel is a LAN's.
is_lan() {
	local info
	info=$(ipmitool channel info "$1" 2>/dev/null) || return 1
	[[ $info == *"802.3 LAN"* ]]
}

# lan_channels prints every channel that is a LAN's.
lan_channels() {
	local n
	for n in 1 2 3 4 5 6 7 8 9 10 11; do
		if is_lan "$n"; then say "$n"; fi
	done
}

declare -A v4=() v6=()

# read_v4 CHANNEL fills v4 with address, netmask, gateway, ipsrc and macaddr.
read_v4() {
	local text label value
	v4=([address]='' [netmask]='' [gateway]='' [ipsrc]='' [macaddr]='')
	text=$(ipmitool lan print "$1") || return 1
	while IFS=: read -r label value; do
		label=${label%"${label##*[! ]}"}
		value=${value#"${value%%[! ]*}"}
		if [[ -n $label && -n ${info_keys[$label]:-} ]]; then
			v4[${info_keys[$label]}]=${value%"${value##*[! ]}"}
		fi
	done <<<"$text"
	if [[ ${v4[address]} == 0.0.0.0 ]]; then v4[address]=''; fi
	if [[ ${v4[gateway]} == 0.0.0.0 ]]; then v4[gateway]=''; fi
}

# read_v6 CHANNEL fills v6 likewise: with the first active address that is not
# link-local, or else the first active one. What reaches the BMC from afar goes first.
read_v6() {
	local text label value source='' address='' rank=0
	v6=([address]='' [netmask]='' [gateway]='' [ipsrc]='')
	text=$(ipmitool lan6 print "$1" 2>/dev/null) || return 1
	while IFS=: read -r label value; do
		label=${label#"${label%%[! ]*}"}
		value=${value#"${value%%[! ]*}"}
		value=${value%"${value##*[! ]}"}
		case $label in
		"IPv6 Static Address"*) source=static address='' ;;
		"IPv6 Dynamic Address"*) source=dynamic address='' ;;
		"Source/Type") source=$value ;;
		"Address") address=$value ;;
		"Status")
			if [[ $value == active* && -n $address && ${address%/*} != :: ]]; then
				take_v6 "$address" "$source"
			fi
			;;
		"IPv6 Static Router 1 IP Address" | "IPv6 Dynamic Router Info IP Address" | "Router IP Address")
			if [[ -z ${v6[gateway]} && $value != :: ]]; then v6[gateway]=$value; fi
			;;
		esac
	done <<<"$text"
}

# take_v6 ADDRESS/BITS SOURCE takes an address that is better than the one so far.
take_v6() {
	local better=2
	if [[ ${1,,} == fe80:* ]]; then better=1; fi
	if ((better > rank)); then
		rank=$better
		v6[address]=${1%/*} v6[netmask]=${1#*/} v6[ipsrc]=$2
	fi
}
