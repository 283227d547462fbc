# Dell: racadm, on the machine itself, where it needs no login.

# dell_set WHAT VALUE... sets one thing of the iDRAC.
dell_set() {
	local what=$1 i=0 group value
	shift
	need racadm
	case $what in
	hostname) dell_put iDRAC.NIC.DNSRacName "$1" ;;
	domain)
		dell_put iDRAC.NIC.DNSDomainFromDHCP Disabled
		dell_put iDRAC.NIC.DNSDomainName "$1"
		;;
	timezone) dell_put iDRAC.Time.Timezone "$1" ;;
	dns | ntp)
		if [[ $what == dns ]]; then
			group=iDRAC.IPv4.DNS
			dell_put iDRAC.IPv4.DNSFromDHCP Disabled
		else
			group=iDRAC.NTPConfigGroup.NTP
			dell_put iDRAC.NTPConfigGroup.NTPEnable Enabled
		fi
		for value; do
			i=$((i + 1))
			dell_put "$group$i" "$value"
		done
		;;
	esac
}

# dell_put ATTRIBUTE VALUE sets an attribute that is not so already.
dell_put() {
	local now
	now=$(racadm get "$1" 2>/dev/null | tail -n 1) || now=
	[[ ${now#*=} == "$2" ]] && return
	racadm set "$1" "$2" >/dev/null || fail "set $1: racadm failed"
	changed=yes
}

# dell_cert CERTIFICATE KEY installs both, and restarts the iDRAC to serve them.
dell_cert() {
	need racadm
	if [[ -n $2 ]]; then
		racadm sslkeyupload -t 1 -f "$2" >/dev/null || fail "install the key: racadm sslkeyupload failed"
	fi
	racadm sslcertupload -t 1 -f "$1" >/dev/null || fail "install the certificate: racadm sslcertupload failed"
	racadm racreset soft >/dev/null || fail "restart the iDRAC: racadm racreset failed"
}
