#!/bin/sh
# dpkg calls it with "configure" and the version that was there before, if any; rpm with
# how many versions there are now.
set -e
case $1 in
configure) before=$2 ;;
[0-9]*) [ "$1" -gt 1 ] && before=yes || before= ;;
*) exit 0 ;; # dpkg undoes something
esac
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	# What runs goes on with the new program: what was accepted leaves first.
	[ -z "$before" ] || systemctl try-restart poosh.service || true
fi
# Nothing is started by itself: there is no secret yet, and none that a package could know.
if [ -z "$before" ]; then
	echo 'poosh: set SERVER_SECRET in /etc/poosh/.env, look with "poosh check" in /etc/poosh, and then: systemctl enable --now poosh'
fi
