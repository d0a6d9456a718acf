# One static binary, the certificates it trusts, and directories for what it keeps.
#
#   docker build -t poosh .
#   docker run -p 8000:8000 -p 127.0.0.1:1337:1337 -e SERVER_SECRET=... poosh
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY auth ./auth
COPY server ./server
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w ${VERSION:+-X main.Version=$VERSION}" -o /poosh . \
    && mkdir -p /volume/data /volume/tmp

FROM scratch
# Whom webhooks over https trust: the roots of the build's distribution. A copy in the
# binary (golang.org/x/crypto/x509roots/fallback) would be one more dependency, and
# here an operator can mount a file of their own.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /poosh /poosh
# Where .env is looked for and PUSH_SOCKET_DB stands, and where poosh import tries a file
# of apps.
COPY --from=build --chown=65534:65534 /volume/ /
USER 65534:65534
WORKDIR /data
VOLUME /data
# CLIENT_PORT, SERVER_PORT, PUSHER_PORT, SOCKTOPUS_PORT, and what the documentation
# says for PUSH_SOCKET_PORT.
EXPOSE 80 8000 1337 6001 8080 3100
STOPSIGNAL SIGTERM
# The image has no other program in it: the server asks itself, by the same settings.
HEALTHCHECK --interval=10s --timeout=4s --start-period=60s --retries=3 CMD ["/poosh", "health"]
ENTRYPOINT ["/poosh"]
