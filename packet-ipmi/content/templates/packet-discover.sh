#!/usr/bin/env bash
# Sets on the machine what the service's metadata say of this server.
set -euo pipefail

# get NAME prints a param of the machine, also one of its profiles, or nothing.
get() {
	drpcli machines get "$RS_UUID" param "$1" --aggregate 2>/dev/null | jq -r 'if . == null then "" else . end'
}

# put NAME VALUE sets a param of the machine, unless the value is empty or there.
put() {
	if [ -z "$2" ] || [ "$(get "$1")" = "$2" ]; then
		return
	fi
	drpcli machines set "$RS_UUID" param "$1" to "$(jq -n --arg v "$2" '$v')" >/dev/null
	echo "$1 is $2"
}

for tool in curl jq drpcli; do
	if ! command -v "$tool" >/dev/null; then
		echo "$tool is needed to find out which server this is, and is not here" >&2
		exit 1
	fi
done

url=$(get packet/metadata-url)
url=${url:-https://metadata.packet.net/metadata}
if ! metadata=$(curl -fsS --retry 5 --retry-connrefused --max-time 30 "$url"); then
	echo "the metadata at $url cannot be read; set packet/metadata-url" >&2
	exit 1
fi
id=$(jq -r '.id // ""' <<<"$metadata")
facility=$(jq -r '.facility // ""' <<<"$metadata")
if [ -z "$id" ]; then
	echo "the metadata at $url do not say which server this is" >&2
	exit 1
fi
known=$(get packet/uuid)
if [ -n "$known" ] && [ "$known" != "$id" ]; then
	echo "this is server $id, and the machine is of server $known" >&2
	exit 1
fi
put packet/uuid "$id"
put packet/facility "$facility"
put packet/metro "$(jq -r '.metro // ""' <<<"$metadata")"
put packet/plan "$(jq -r '.plan // ""' <<<"$metadata")"
put packet/name "$(jq -r '.hostname // ""' <<<"$metadata")"
if [ -n "$facility" ] && [ -z "$(get packet/sos)" ]; then
	put packet/sos "$id@sos.$facility.packet.net"
fi
