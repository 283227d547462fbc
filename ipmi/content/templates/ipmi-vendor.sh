# Which manufacturer's tools set what IPMI has no command for.
vendor=any
case $(cat "${DMI_DIR:-/sys/class/dmi/id}/sys_vendor" 2>/dev/null || :) in
Dell*) vendor=dell ;;
HP | HPE | "Hewlett"*) vendor=hpe ;;
LENOVO* | Lenovo* | IBM*) vendor=lenovo ;;
esac
{{ template "ipmi-dell-tools.sh" . }}
{{ template "ipmi-hpe-tools.sh" . }}
{{ template "ipmi-lenovo-tools.sh" . }}
{{ template "ipmi-any-tools.sh" . }}
# vendor_set WHAT VALUE... sets hostname, domain, dns, ntp or timezone.
vendor_set() {
	case $vendor in
	dell) dell_set "$@" ;;
	hpe) hpe_set "$@" ;;
	lenovo) lenovo_set "$@" ;;
	*) any_set "$@" ;;
	esac
}

# vendor_cert CERTIFICATE KEY installs a certificate; a key that is empty stays.
vendor_cert() {
	case $vendor in
	dell) dell_cert "$@" ;;
	hpe) hpe_cert "$@" ;;
	*) fail "install the certificate: no tool is known that does it on this manufacturer's BMC" ;;
	esac
}
