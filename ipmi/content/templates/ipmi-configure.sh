#!/usr/bin/env bash
# Sets network, users and signing request of the BMC, as the params tell.
set -euo pipefail
{{ template "ipmi-lib.sh" . }}
force_channel={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/force-lan-chan") }}
with_network={{ template "ipmi-quote.sh" (.Param "ipmi/configure/network") }}
with_user={{ template "ipmi-quote.sh" (.Param "ipmi/configure/user") }}
service_user={{ template "ipmi-quote.sh" (.Param "ipmi/service-user") }}
with_csr={{ template "ipmi-quote.sh" (.Param "ipmi/configure/generate-csr") }}
{{ template "ipmi-info-keys.sh" . }}
{{ template "ipmi-process-quirks.sh" . }}
{{ template "ipmi-vendor.sh" . }}
{{- if .Param "ipmi/configure/network" }}
force_protocol={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/force-protocol") }}
ip_mode={{ template "ipmi-quote.sh" (.Param "ipmi/configure/ip-mode") }}
address={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/configure/address") }}
netmask={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/configure/netmask") }}
gateway={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/configure/gateway") }}
port={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/configure/port") }}
hostname={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/configure/hostname") }}
domain={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/configure/domain") }}
timezone={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/configure/timezone") }}
dns_servers={{ template "ipmi-values.sh" (dict "data" . "name" "ipmi/configure/dns-servers") }}
ntp_servers={{ template "ipmi-values.sh" (dict "data" . "name" "ipmi/configure/ntp-servers") }}
{{ template "ipmi-network.sh" . }}
{{- end }}
{{- if or (.Param "ipmi/configure/user") (.Param "ipmi/service-user") }}
username={{ template "ipmi-quote.sh" (.Param "ipmi/configure/username") }}
userid={{ template "ipmi-value.sh" (dict "data" . "name" "ipmi/configure/userid") }}
random_password={{ template "ipmi-quote.sh" (.Param "ipmi/configure/generate-random-password") }}
password_settings={{ template "ipmi-quote.sh" (.Param "ipmi/configure/random-password-settings") }}
{{ template "ipmi-passgen.sh" . }}
{{ template "ipmi-users.sh" . }}
{{- end }}
{{- if .Param "ipmi/configure/generate-csr" }}
{{ template "ipmi-csr.sh" . }}
{{- end }}

# restart_bmc restarts the BMC and waits for it.
restart_bmc() {
	local try
	ipmitool mc reset cold >/dev/null || fail "restart the BMC: ipmitool mc reset cold failed"
	for try in 1 2 3 4 5 6 7 8 9 10; do
		sleep 15
		if ipmitool mc info >/dev/null 2>&1; then
			say "the BMC was restarted, and answered at try $try"
			return
		fi
	done
	fail "restart the BMC: it does not answer after 150 seconds"
}

need ipmitool jq drpcli
has_bmc || exit 0
if [[ $with_network != true && $with_user != true && $service_user != true && $with_csr != true ]]; then
	say "none of ipmi/configure/network, ipmi/configure/user, ipmi/service-user and ipmi/configure/generate-csr is set: nothing to do"
	exit 0
fi
load_quirks
{{- if or (.Param "ipmi/configure/network") (.Param "ipmi/configure/user") (.Param "ipmi/service-user") }}
channel=$(lan_channel) || fail "configure the BMC: no channel is a LAN's; set ipmi/force-lan-chan"
{{- end }}
{{- if .Param "ipmi/configure/network" }}
configure_network
{{- end }}
{{- if .Param "ipmi/configure/user" }}
configure_user
{{- end }}
{{- if .Param "ipmi/service-user" }}
configure_service_user
{{- end }}
{{- if .Param "ipmi/configure/generate-csr" }}
configure_csr
{{- end }}
if is_changed && quirk ipmi-hard-reset-after-config; then restart_bmc; fi
if is_changed; then say "the BMC is configured"; else say "the BMC was configured already"; fi
