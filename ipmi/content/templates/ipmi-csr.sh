# Signing requests: whose, and how each manufacturer's BMC makes them.
csr_name={{ template "ipmi-quote.sh" .Machine.Name }}
csr_org={{ template "ipmi-quote.sh" (.Param "ipmi/configure/cert-org") }}
csr_unit={{ template "ipmi-quote.sh" (.Param "ipmi/configure/cert-org-unit") }}
csr_locality={{ template "ipmi-quote.sh" (.Param "ipmi/configure/cert-locality") }}
csr_province={{ template "ipmi-quote.sh" (.Param "ipmi/configure/cert-province") }}
csr_country={{ template "ipmi-quote.sh" (.Param "ipmi/configure/cert-country") }}
post_csr_task={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/configure/post-csr-task") }}

# vendor_csr FILE has the BMC make a signing request.
vendor_csr() {
	case $vendor in
	dell) dell_csr "$1" ;;
	hpe) hpe_csr "$1" ;;
	*) fail "make a signing request: no tool is known that does it on this manufacturer's BMC" ;;
	esac
}

# dell_csr FILE has the iDRAC make a signing request.
dell_csr() {
	need racadm
	dell_put iDRAC.Security.CsrCommonName "$csr_name"
	dell_put iDRAC.Security.CsrOrganizationName "$csr_org"
	dell_put iDRAC.Security.CsrOrganizationUnit "$csr_unit"
	dell_put iDRAC.Security.CsrLocalityName "$csr_locality"
	dell_put iDRAC.Security.CsrStateName "$csr_province"
	dell_put iDRAC.Security.CsrCountryCode "$csr_country"
	racadm sslcsrgen -g -f "$1" >/dev/null || fail "make a signing request: racadm sslcsrgen failed"
}

# hpe_csr FILE has the iLO make a signing request.
hpe_csr() {
	local answer
	answer=$(hpe_run write "<CERTIFICATE_SIGNING_REQUEST><CSR_STATE VALUE=\"$(hpe_text "$csr_province")\"/><CSR_COUNTRY VALUE=\"$(hpe_text "$csr_country")\"/><CSR_LOCALITY VALUE=\"$(hpe_text "$csr_locality")\"/><CSR_ORGANIZATION VALUE=\"$(hpe_text "$csr_org")\"/><CSR_ORGANIZATIONAL_UNIT VALUE=\"$(hpe_text "$csr_unit")\"/><CSR_COMMON_NAME VALUE=\"$(hpe_text "$csr_name")\"/></CERTIFICATE_SIGNING_REQUEST>") ||
		fail "make a signing request: hponcfg failed (an iLO takes minutes; run it again)"
	sed -n '/-----BEGIN CERTIFICATE REQUEST-----/,/-----END CERTIFICATE REQUEST-----/p' <<<"$answer" >"$1"
}

# configure_csr has the BMC make a signing request, once.
configure_csr() {
	local have
	read_param have ipmi/csr
	if [[ -n ${have:=} ]]; then
		say "ipmi/csr is set already; remove it for another"
		return
	fi
	vendor_csr "$work/csr.pem"
	grep -q -e '-----BEGIN CERTIFICATE REQUEST-----' "$work/csr.pem" || fail "make a signing request: the BMC answered with none"
	put ipmi/csr "$(<"$work/csr.pem")"
	[[ -n $post_csr_task ]] || return 0
	drpcli machines tasks add "$machine" at 0 "$post_csr_task" >/dev/null || fail "run task $post_csr_task: the endpoint refused"
}
