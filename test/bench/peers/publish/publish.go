// Package publish is the publish side of the Go peers: POST /send with the
// token of the Node server Poosh.
package publish

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 100 << 10

// An Event is the body of POST /send.
type Event struct {
	Room    string          `json:"room"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
}

// Handler takes events that are signed with secret and hands them to send. A
// token is the SHA1 of the secret and the payload as it stands in the body,
// which is what JSON.stringify prints for the benchmark's payloads.
func Handler(secret string, send func(Event) error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /send", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "cannot read the body", http.StatusBadRequest)
			return
		}
		var e Event
		if err := json.Unmarshal(body, &e); err != nil {
			http.Error(w, "no JSON", http.StatusBadRequest)
			return
		}
		if !Valid(secret, e.Payload, r.Header.Get("Authorization")) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if err := send(e); err != nil {
			http.Error(w, "cannot send", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	return mux
}

// Valid reports whether token signs payload.
func Valid(secret string, payload []byte, token string) bool {
	h := sha1.New()
	io.WriteString(h, secret)
	h.Write(payload)
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(h.Sum(nil))), []byte(token)) == 1
}

// Settings are what every peer is told in the environment, as poosh is.
type Settings struct{ Clients, Senders, Secret string }

// FromEnv reads the settings.
func FromEnv() Settings {
	host := os.Getenv("HOST")
	return Settings{
		Clients: host + ":" + os.Getenv("CLIENT_PORT"),
		Senders: host + ":" + os.Getenv("SERVER_PORT"),
		Secret:  os.Getenv("SERVER_SECRET"),
	}
}
