#!/bin/sh
# dpkg calls it with "remove", "purge" or "upgrade", among others; rpm with how many
# versions stay, and rpm has no purge: what the service wrote, and its user, stay then.
set -e
case $1 in
remove | purge | 0)
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload || true
	fi
	;;
esac
if [ "$1" = purge ]; then
	rm -rf /var/lib/poosh
	# Both are of the service alone.
	if getent passwd poosh >/dev/null; then
		userdel poosh
	fi
	if getent group poosh >/dev/null; then
		groupdel poosh
	fi
fi
