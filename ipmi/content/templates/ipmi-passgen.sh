# Passwords at random, from the kernel's generator.
random_pool=()

# below N sets REPLY to a number from 0 to N-1, each as likely as the others.
below() {
	local byte most=$((256 - 256 % $1))
	while :; do
		if ((${#random_pool[@]} == 0)); then
			read -r -d '' -a random_pool < <(od -An -v -tu1 -N 256 /dev/urandom; printf '\0')
		fi
		byte=${random_pool[-1]}
		unset 'random_pool[-1]'
		if ((byte < most)); then
			REPLY=$((byte % $1))
			return
		fi
	done
}

# setting NAME DEFAULT TEXT sets REPLY to a value of "name=value, name=value".
setting() {
	REPLY=$2
	[[ ", $3," =~ [,\ ]$1=([^,]*), ]] || return 0
	REPLY=${BASH_REMATCH[1]}
	if [[ $REPLY == None || -z $REPLY ]]; then REPLY=$2; fi
}

# passgen SETTINGS sets REPLY to a password. Less than 16 characters are made 16,
# since 10 can be guessed; IPMI has no room for more than 20.
passgen() {
	local -a kinds=(ABCDEFGHJKLMNPQRSTUVWXYZ abcdefghijkmnopqrstuvwxyz 23456789 '!%+-.:=@_') names=(upper lower req_nums special_chars) out=()
	local length kind i n
	setting special_char_list "${kinds[3]}" "$1" && kinds[3]=$REPLY
	setting length 16 "$1" && length=$REPLY
	[[ $length =~ ^[0-9]{1,2}$ ]] || fail "make a password: length in ipmi/configure/random-password-settings is no number"
	((10#$length >= 16)) || length=16
	((10#$length <= 20)) || fail "make a password: IPMI takes 20 characters at most, see length in ipmi/configure/random-password-settings"
	for kind in 0 1 2 3; do
		setting "${names[kind]}" 1 "$1" && n=$REPLY
		[[ $n =~ ^[0-9]{1,2}$ ]] || fail "make a password: ${names[kind]} in ipmi/configure/random-password-settings is no number"
		for ((i = 0; i < 10#$n; i++)); do
			below ${#kinds[kind]}
			out+=("${kinds[kind]:REPLY:1}")
		done
	done
	((${#out[@]} <= 10#$length)) || fail "make a password: ipmi/configure/random-password-settings asks for more characters than length has"
	local any=${kinds[0]}${kinds[1]}${kinds[2]} swap
	while ((${#out[@]} < 10#$length)); do
		below ${#any}
		out+=("${any:REPLY:1}")
	done
	for ((i = ${#out[@]} - 1; i > 0; i--)); do
		below $((i + 1))
		swap=${out[i]} out[i]=${out[REPLY]} out[REPLY]=$swap
	done
	printf -v REPLY '%s' "${out[@]}"
}
