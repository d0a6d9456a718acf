package admin

import (
	_ "embed"
	"net/http"

	"poosh/server/respond"
)

// OpenAPI describes the API of the port (OpenAPI 3.1), for programs and for tests.
//
//go:embed openapi.json
var OpenAPI []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	respond.Go.Bytes(w, http.StatusOK, OpenAPI)
}
