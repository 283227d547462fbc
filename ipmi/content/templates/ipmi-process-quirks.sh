{{ template "ipmi-load-quirks.sh" . }}
declare -A quirks=()

# field LABEL prints the number that "ipmitool mc info" tells after a label.
field() {
	local text
	text=$(grep -m 1 "^$1 *:" <<<"$mc_info") || return 1
	text=${text#*: }
	say "${text%% *}"
}

# matching DEVICE MANUFACTURER PRODUCT prints the score and the quirks of every row
# that matches.
matching() {
	local -a wanted=("$1" "$2" "$3") row
	local name d m p list i score
	while IFS=$'\t' read -r name d m p list; do
		[[ -n $name && $name != \#* ]] || continue
		row=("$d" "$m" "$p") score=0
		for i in 0 1 2; do
			[[ ${row[i]} == - ]] && continue
			[[ ${row[i]} == "${wanted[i]}" ]] || continue 2
			score=$((score + (1 << i)))
		done
		say "$score $list"
	done < <(quirk_table)
}

# load_quirks fills quirks with what is known of this BMC.
load_quirks() {
	local mc_info device maker product rows name
	local -a names
	mc_info=$(ipmitool mc info) || fail "ask the BMC what it is: ipmitool mc info failed"
	if ! { device=$(field "Device ID") && maker=$(field "Manufacturer ID") && product=$(field "Product ID"); }; then
		fail "ask the BMC what it is: its answer has no ids"
	fi
	rows=$(matching "$device" "$maker" "$product" | sort -s -n -k 1,1)
	while read -r _ rows; do
		read -r -a names <<<"$rows"
		for name in ${names[@]+"${names[@]}"}; do
			if [[ $name == -* ]]; then
				unset "quirks[${name#-}]"
			else
				quirks[$name]=yes
			fi
		done
	done <<<"$rows"
	if ((${#quirks[@]} > 0)); then
		say "quirks: $(printf '%s\n' "${!quirks[@]}" | sort | paste -sd ' ')"
	fi
}

# quirk NAME tells whether the BMC has a quirk.
quirk() { [[ ${quirks[$1]:-} == yes ]]; }

# settle SECONDS gives the BMC time to do what it was told.
settle() {
	if ! quirk ipmi-nodelay; then sleep "$1"; fi
}
