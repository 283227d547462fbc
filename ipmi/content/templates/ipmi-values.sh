({{ if .data.ParamExists .name }}{{ range .data.Param .name }} {{ template "ipmi-quote.sh" . }}{{ end }}{{ end }} ){{- /* a param that is a list, as an array of a shell */ -}}
