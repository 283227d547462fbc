#!/usr/bin/env bash
# Installs ipmitool with the package manager of the system.
set -euo pipefail
{{ template "ipmi-lib.sh" . }}
# install_by MANAGER installs with one package manager.
install_by() {
	case $1 in
	apt-get)
		DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null &&
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ipmitool >/dev/null
		;;
	dnf | yum) "$1" install -y -q ipmitool >/dev/null ;;
	zypper) zypper --non-interactive --quiet install ipmitool >/dev/null ;;
	apk) apk add --quiet ipmitool >/dev/null ;;
	esac
}

if command -v ipmitool >/dev/null; then
	say "ipmitool is installed already"
	exit 0
fi
manager=
for name in apt-get dnf yum zypper apk; do
	if command -v "$name" >/dev/null; then
		manager=$name
		break
	fi
done
[[ -n $manager ]] || fail "install ipmitool: none of apt-get, dnf, yum, zypper and apk is here"
for try in 1 2 3; do
	if install_by "$manager" && hash -r && command -v ipmitool >/dev/null; then
		say "ipmitool is installed"
		exit 0
	fi
	warn "$manager did not install ipmitool (try $try of 3)"
	if ((try < 3)); then sleep $((try * 5)); fi
done
fail "install ipmitool: $manager failed three times"
