# HPE: hponcfg, on the machine itself, where the login in its scripts is not looked at.

# hpe_text TEXT prints a text as the value of an XML attribute.
hpe_text() {
	local t=$1
	t=${t//&/\&amp;} t=${t//</\&lt;} t=${t//>/\&gt;} t=${t//\"/\&quot;}
	printf '%s' "$t"
}

# hpe_run MODE ELEMENTS runs elements of RIB_INFO and prints the answer.
hpe_run() {
	need hponcfg
	printf '<RIBCL VERSION="2.0"><LOGIN USER_LOGIN="local" PASSWORD="local"><RIB_INFO MODE="%s">\n%s\n</RIB_INFO></LOGIN></RIBCL>\n' "$1" "$2" >"$work/ribcl.xml"
	hponcfg -f "$work/ribcl.xml"
}

# hpe_set WHAT VALUE... sets one thing of the iLO.
hpe_set() {
	local what=$1 i=0 xml='' value name
	shift
	case $what in
	hostname) xml="<DNS_NAME VALUE=\"$(hpe_text "$1")\"/>" ;;
	domain) xml="<DOMAIN_NAME VALUE=\"$(hpe_text "$1")\"/>" ;;
	timezone) xml="<TIMEZONE VALUE=\"$(hpe_text "$1")\"/>" ;;
	dns | ntp)
		for value; do
			i=$((i + 1))
			name="SNTP_SERVER$i"
			if [[ $what == dns ]]; then
				case $i in
				1) name=PRIM_DNS_SERVER ;;
				2) name=SEC_DNS_SERVER ;;
				*) name=TER_DNS_SERVER ;;
				esac
			fi
			xml+="<$name VALUE=\"$(hpe_text "$value")\"/>"
		done
		;;
	esac
	hpe_run write "<MOD_NETWORK_SETTINGS>$xml</MOD_NETWORK_SETTINGS>" >/dev/null || fail "set the $what: hponcfg failed"
}

# hpe_cert CERTIFICATE KEY installs a certificate. An iLO keeps its own key.
hpe_cert() {
	[[ -z $2 ]] || fail "install the key: an iLO makes its own; unset ipmi/configure/key and sign ipmi/csr"
	hpe_run write "<IMPORT_CERTIFICATE>$(<"$1")</IMPORT_CERTIFICATE>" >/dev/null || fail "install the certificate: hponcfg failed"
}
