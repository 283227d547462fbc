# Others: IPMI alone, which has a name of the system and nothing else of these.

# any_set WHAT VALUE... sets what IPMI can.
any_set() {
	if [[ $1 != hostname ]]; then
		warn "the $1 is not set: no tool is known that does it on this manufacturer's BMC"
		return
	fi
	ipmitool mc setsysinfo system_name "$2" >/dev/null || fail "set the hostname: ipmitool mc setsysinfo failed"
}
