#!/bin/sh
# Sends one event to Poosh with curl.
#
#   send.sh [EVENT [PAYLOAD-AS-JSON [ROOM]]]
#
# Without ROOM the event goes to every connected client. EVENT and ROOM go into
# the request as they are: they may hold no quote and no backslash. The
# environment names the server and the secret: POOSH_URL, POOSH_SECRET.
set -eu

url=${POOSH_URL:-http://localhost:1337/send}
secret=${POOSH_SECRET:-thisisthesharedsecret}
event=${1:-event-name}
payload=${2:-'{"text":"hello from curl"}'}

room=
if [ $# -ge 3 ]; then
	room="\"room\":\"$3\","
fi

# The token is the SHA1 of the secret and the payload's text, in hexadecimal.
if command -v sha1sum >/dev/null; then
	token=$(printf '%s%s' "$secret" "$payload" | sha1sum | cut -d ' ' -f 1)
else
	token=$(printf '%s%s' "$secret" "$payload" | openssl dgst -sha1 -r | cut -d ' ' -f 1)
fi

curl --silent --show-error --fail-with-body --max-time 10 --include \
	--header 'Content-Type: application/json' \
	--header "Authorization: $token" \
	--data-binary "{$room\"event\":\"$event\",\"payload\":$payload}" \
	"$url"
