{{ if .data.ParamExists .name }}{{ template "ipmi-quote.sh" (.data.Param .name) }}{{ else }}''{{ end }}{{- /* a param as one word of a shell, an empty one where it is not set */ -}}
