#!/usr/bin/env bash
# Installs the certificate of the params, and its key if one is given.
set -euo pipefail
{{ template "ipmi-lib.sh" . }}
{{ template "ipmi-vendor.sh" . }}
need jq drpcli
has_bmc || exit 0
read_param certificate ipmi/configure/certificate
read_param key ipmi/configure/key
if [[ -z ${certificate:=} ]]; then
	[[ -z ${key:=} ]] || fail "install the key: ipmi/configure/certificate is not set"
	say "ipmi/configure/certificate is not set: nothing to do"
	exit 0
fi
[[ $certificate == *"-----BEGIN CERTIFICATE-----"*"-----END CERTIFICATE-----"* ]] ||
	fail "install the certificate: ipmi/configure/certificate is not PEM"
printf '%s\n' "$certificate" >"$work/certificate.pem"
key_file=
if [[ -n $key ]]; then
	[[ $key == *"-----BEGIN "*"PRIVATE KEY-----"* ]] || fail "install the key: ipmi/configure/key is not PEM"
	key_file=$work/key.pem
	printf '%s\n' "$key" >"$key_file"
fi
vendor_cert "$work/certificate.pem" "$key_file"
say "the certificate is installed"
