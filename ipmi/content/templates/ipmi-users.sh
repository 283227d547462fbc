# Sets users of the BMC. A password is set in four steps, so that none is ever lost:
# it is kept on the endpoint, set, proven by the BMC, and only then taken into use.

# users prints slot and name of every user of the channel.
users() {
	local text line
	text=$(ipmitool -c user list "$channel") || return 1
	while IFS=, read -r line text _; do
		if [[ $line =~ ^[0-9]+$ ]]; then say "$line $text"; fi
	done <<<"$text"
}

# password_raw OPERATION SLOT PASSWORD runs Set User Password (IPMI 2.0 §22.30): 2
# sets it, 3 tests it. The bytes reach ipmitool in a file.
password_raw() {
	local size=16 flag=0 hex i byte rc=0
	if ((${#3} > 16)); then
		size=20 flag=128
	fi
	printf -v hex 'raw 0x06 0x47 0x%02x 0x%02x' $((flag | $2)) "$1"
	for ((i = 0; i < size; i++)); do
		byte=0
		if ((i < ${#3})); then printf -v byte '%d' "'${3:i:1}"; fi
		printf -v hex '%s 0x%02x' "$hex" "$byte"
	done
	printf '%s\n' "$hex" >"$work/command"
	ipmitool exec "$work/command" >"$work/answer" 2>&1 || rc=1
	if grep -q 'Unable to\|rsp=0x\|rror' "$work/answer"; then rc=1; fi
	rm -f -- "$work/command" "$work/answer"
	return "$rc"
}

# check_password PASSWORD refuses what IPMI cannot hold.
check_password() {
	local LC_ALL=C
	[[ ${#1} -ge 1 && ${#1} -le 20 ]] || fail "set the password: IPMI takes 1 to 20 characters"
	[[ $1 != *[!\ -~]* ]] || fail "set the password: only printable ASCII is the same on every BMC"
}

# user_slot NAME WANTED sets REPLY to the slot of a user: the one that has the name,
# the one that was asked for, or the first that is free.
user_slot() {
	local list slot name first=2 free=''
	if quirk ipmi-immutable-root; then first=3; fi
	list=$(users) || fail "set user $1: ipmitool user list $channel failed"
	if [[ -n $2 ]]; then
		((10#$2 >= first && 10#$2 <= 63)) || fail "set user $1: slot $2 cannot be set on this BMC"
		REPLY=$2
		return
	fi
	while read -r slot name; do
		((slot >= 2)) || continue
		if [[ $name == "$1" ]]; then
			((slot >= first)) || fail "set user $1: this BMC lets nobody change it; choose another ipmi/configure/username"
			REPLY=$slot
			return
		fi
		if [[ -z $free && -z $name ]] && ((slot >= first)); then
			if ((slot != 2)) || ! quirk ipmi-immutable-rootname; then free=$slot; fi
		fi
	done <<<"$list"
	[[ -n $free ]] || fail "set user $1: the BMC has no free slot; set ipmi/configure/userid"
	REPLY=$free
}

# name_slot SLOT NAME names a slot, where it is not called so.
name_slot() {
	local list
	list=$(users) || fail "set user $2: ipmitool user list $channel failed"
	if grep -qxF -- "$1 $2" <<<"$list"; then return; fi
	if [[ $1 == 2 ]] && quirk ipmi-immutable-rootname; then
		fail "set user $2: this BMC does not let slot 2 be renamed; choose another ipmi/configure/userid"
	fi
	ipmitool user set name "$1" "$2" >/dev/null || fail "set user $2: ipmitool user set name failed"
	changed=yes
	settle 1
}

# allow SLOT lets a user in as administrator.
allow() {
	local -a on=("$channel")
	local c
	if quirk ipmi-crossed-access-channels; then readarray -t on < <(lan_channels); fi
	for c in "${on[@]}"; do
		ipmitool channel setaccess "$c" "$1" callin=on ipmi=on link=on privilege=4 >/dev/null ||
			fail "let user $1 in: ipmitool channel setaccess failed on channel $c"
	done
	ipmitool user enable "$1" >/dev/null || fail "let user $1 in: ipmitool user enable failed"
	settle 1
}

# set_user NAME SLOT PASSWORD makes a user that can log in with the password.
set_user() {
	check_password "$3"
	((${#1} >= 1 && ${#1} <= 16)) || fail "set user $1: IPMI takes names of 1 to 16 characters"
	user_slot "$1" "$2"
	local slot=$REPLY
	name_slot "$slot" "$1"
	if password_raw 3 "$slot" "$3"; then
		say "user $1 has its password already"
	else
		local try
		for try in 1 2 3; do
			if password_raw 2 "$slot" "$3" && password_raw 3 "$slot" "$3"; then break; fi
			((try < 3)) || fail "set the password of user $1: the BMC does not take it (too short, too long or too simple for it?)"
			sleep "$try"
		done
		changed=yes
	fi
	allow "$slot"
	say "user $1 is in slot $slot"
}

# own NAME prints a param of the machine itself, not one of its profiles.
own() {
	local json
	json=$(drpcli machines get "$machine" param "$1" --decode) || fail "read $1: the endpoint does not tell it"
	jq -r 'if . == null then empty else . end' <<<"$json"
}

# configure_user sets the operator's user. A random password is one machine's alone,
# so that one of a profile is not looked at then.
configure_user() {
	local password
	if [[ $random_password == true ]]; then
		password=$(own ipmi/configure/password)
		if [[ -z $password ]]; then
			passgen "$password_settings"
			password=$REPLY
			put ipmi/configure/password "$password"
		fi
	else
		read_param password ipmi/configure/password
		[[ -n $password ]] ||
			fail "set user $username: set ipmi/configure/password, or ipmi/configure/generate-random-password"
	fi
	set_user "$username" "$userid" "$password"
	if [[ $service_user != true ]]; then take "$username" "$password"; fi
}

# take NAME PASSWORD makes a login the one that the plugin uses.
take() {
	put ipmi/username "$1"
	put ipmi/password "$2"
}

# configure_service_user makes a user of this software's own, with a password of this
# machine alone.
configure_service_user() {
	local password
	password=$(own ipmi/configure/service-password)
	if [[ -z $password ]]; then
		passgen 'length=16, upper=2, lower=2, req_nums=2, special_chars=0'
		password=$REPLY
		put ipmi/configure/service-password "$password"
	fi
	set_user oob-service '' "$password"
	take oob-service "$password"
}
