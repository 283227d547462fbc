# The table of quirks.
quirk_table() {
	cat <<'QUIRKS'
{{ template "ipmi-quirks.tsv" . }}
QUIRKS
}
