#!/bin/sh
# Installs what this archive holds. DESTDIR=/some/root installs below it and starts
# nothing; what is installed is what the Debian package holds.
set -eu
cd "$(dirname "$0")"
root=${DESTDIR:-}
umask 022

put() { # MODE FILE TARGET
	install -D -m "$1" "$2" "$root$3"
}

put 0755 bin/oob /usr/bin/oob
for plugin in plugins/*; do
	# A rename is one step: a running endpoint sees the old plugin or the new one.
	put 0755 "$plugin" "/usr/lib/oob/plugins/.${plugin##*/}.new"
	mv "$root/usr/lib/oob/plugins/.${plugin##*/}.new" "$root/usr/lib/oob/plugins/${plugin##*/}"
done
put 0644 systemd/oob.service /usr/lib/systemd/system/oob.service
put 0644 systemd/oob.sysusers /usr/lib/sysusers.d/oob.conf
put 0644 completions/oob.bash /usr/share/bash-completion/completions/oob
put 0644 completions/oob.zsh /usr/share/zsh/vendor-completions/_oob
put 0644 completions/oob.fish /usr/share/fish/vendor_completions.d/oob.fish
find doc -type f | while read -r file; do
	put 0644 "$file" "/usr/share/doc/oob/${file#doc/}"
done
[ -e "$root/etc/default/oob" ] || put 0644 systemd/oob.default /etc/default/oob

[ -z "$root" ] || exit 0
systemd-sysusers /usr/lib/sysusers.d/oob.conf
systemctl daemon-reload
echo "installed; start it with: systemctl enable --now oob"
