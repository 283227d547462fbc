'{{ . | toString | replace "'" "'\\''" }}'{{- /* a value as one word of a shell, whatever is in it */ -}}
