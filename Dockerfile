# One static binary and nothing else.
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
    -ldflags "-s -w ${VERSION:+-X main.Version=$VERSION}" -o /poosh .

FROM scratch
COPY --from=build /poosh /poosh
USER 65534:65534
# Where .env is looked for.
WORKDIR /
EXPOSE 8000 1337
STOPSIGNAL SIGTERM
ENTRYPOINT ["/poosh"]
