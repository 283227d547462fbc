# Lenovo: OneCli, on the machine itself, where it needs no login.

# lenovo_set WHAT VALUE... sets one thing of the XClarity Controller.
lenovo_set() {
	local what=$1 i=0 value setting
	shift
	need onecli
	for value; do
		i=$((i + 1))
		case $what in
		hostname) setting=IMM.HostName1 ;;
		domain) setting=IMM.DomainName ;;
		timezone) setting=IMM.TimeZone ;;
		dns) setting=IMM.DNS_IP_Address$i ;;
		ntp) setting=IMM.NTPHost$i ;;
		esac
		onecli config set "$setting" "$value" >/dev/null || fail "set $setting: onecli failed"
	done
}
