#!/bin/sh
# Before the files of the package: they belong to the user that the service runs as.
# dpkg calls it with "install" or "upgrade", rpm with a number.
set -e
if ! getent group poosh >/dev/null; then
	groupadd --system poosh
fi
if ! getent passwd poosh >/dev/null; then
	useradd --system --gid poosh --home-dir /var/lib/poosh --no-create-home \
		--shell /usr/sbin/nologin --comment 'Poosh push server' poosh
fi
