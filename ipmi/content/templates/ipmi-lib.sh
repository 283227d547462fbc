# What the scripts of the ipmi content have in common. Secrets go from the
# endpoint to the tools by pipes, builtins and files that only root can read:
# never in an argument list, never in what is printed, never in this text.
umask 077
machine={{ template "ipmi-quote.sh" .Machine.UUID }}
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# is_changed tells whether this run has changed the BMC.
changed=
is_changed() { [[ -n $changed ]]; }

say() { printf '%s\n' "$*"; }

warn() { printf 'warning: %s\n' "$*" >&2; }

# fail WHAT: WHY ends the task with one line.
fail() {
	printf 'cannot %s\n' "$*" >&2
	exit 1
}

# need TOOL... fails where a program is missing.
need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || fail "go on: $tool is not installed here"
	done
}

# get NAME prints a param of the machine or its profiles in the clear, nothing
# where it is not set.
get() {
	local json
	json=$(drpcli machines get "$machine" param "$1" --aggregate --decode) || return 1
	jq -r 'if . == null then empty else . end' <<<"$json"
}

# read_param VARIABLE NAME sets a variable to a param.
read_param() {
	local -n into=$1
	# shellcheck disable=SC2034 # what it refers to is used by the caller
	into=$(get "$2") || fail "read $2: the endpoint does not tell it"
	[[ $into != '******' ]] || fail "read $2: the endpoint hides it; who runs this needs getSecure on the machine"
}

# put_json NAME JSON sets a param, unless it is so already.
put_json() {
	local now
	now=$(drpcli machines get "$machine" param "$1" --aggregate --decode) || fail "read $1: the endpoint does not tell it"
	if [[ $now == "$2" ]]; then
		return
	fi
	drpcli machines set "$machine" param "$1" to - <<<"$2" >/dev/null || fail "set $1: the endpoint refused"
	say "$1 is set"
}

# put NAME TEXT sets a param to a text.
put() { put_json "$1" "$(printf '%s' "$2" | jq -Rs .)"; }

# has_bmc tells whether the task ipmi-discover has found a BMC.
has_bmc() {
	local enabled
	read_param enabled ipmi/enabled
	[[ $enabled == true ]] && return
	say "the machine has no BMC (ipmi/enabled): nothing to do"
	return 1
}

# ipv4_number ADDRESS prints an IPv4 address as a number.
ipv4_number() {
	local -a part
	local p n=0
	[[ $1 =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ ]] || return 1
	IFS=. read -r -a part <<<"$1"
	for p in "${part[@]}"; do
		((10#$p <= 255)) || return 1
		n=$((n * 256 + 10#$p))
	done
	say "$n"
}

# ipv6_groups ADDRESS prints the eight numbers of an IPv6 address.
ipv6_groups() {
	local head=$1 tail='' g missing
	local -a left=() right=()
	[[ $1 =~ ^[0-9A-Fa-f:]+$ && $1 != *:::* && $1 != *::*::* ]] || return 1
	if [[ $1 == *::* ]]; then
		head=${1%%::*} tail=${1#*::}
	fi
	IFS=: read -r -a left <<<"$head"
	IFS=: read -r -a right <<<"$tail"
	missing=$((8 - ${#left[@]} - ${#right[@]}))
	if [[ $1 == *::* ]]; then
		((missing >= 1)) || return 1
	else
		((missing == 0)) || return 1
	fi
	while ((missing-- > 0)); do left+=(0); done
	for g in "${left[@]}" "${right[@]}"; do
		[[ $g =~ ^[0-9A-Fa-f]{1,4}$ ]] || return 1
		printf '%d ' "$((16#$g))"
	done
}

# mask_bits MASK prints the prefix length of an IPv4 netmask.
mask_bits() {
	local n bits=0
	n=$(ipv4_number "$1") || return 1
	while (((n & 0x80000000) != 0)); do
		n=$(((n << 1) & 0xffffffff)) bits=$((bits + 1))
	done
	((n == 0)) && say "$bits"
}

# same_subnet ADDRESS GATEWAY MASK tells whether both are in one subnet. MASK is a
# netmask, or a prefix length of IPv6. A link-local gateway of IPv6 is always near.
same_subnet() {
	local i bits a b
	local -a left right
	if [[ $1 != *:* ]]; then
		a=$(ipv4_number "$1") || return 1
		b=$(ipv4_number "$2") || return 1
		bits=$(mask_bits "$3") || return 1
		((a >> (32 - bits) == b >> (32 - bits)))
		return
	fi
	[[ ${2,,} == fe[89ab]?:* ]] && return
	bits=$3
	[[ $bits =~ ^[0-9]{1,3}$ ]] || return 1
	((bits <= 128)) || return 1
	a=$(ipv6_groups "$1") || return 1
	b=$(ipv6_groups "$2") || return 1
	read -r -a left <<<"$a"
	read -r -a right <<<"$b"
	for ((i = 0; i < 8 && bits > 0; i++, bits -= 16)); do
		local shift=$((bits >= 16 ? 0 : 16 - bits))
		((left[i] >> shift == right[i] >> shift)) || return 1
	done
}
