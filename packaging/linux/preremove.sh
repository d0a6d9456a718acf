#!/bin/sh
# dpkg calls it with "remove" or "upgrade", rpm with how many versions stay.
set -e
case $1 in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now poosh.service poosh-client.socket poosh-server.socket || true
	fi
	;;
esac
