package socktopus

import (
	"crypto/rand"
	"encoding/hex"
	"html/template"
	"net/http"
)

// secretBytes is the length of the secret that the home page offers.
const secretBytes = 32

// homePage says who is served and offers a secret to copy.
var homePage = template.Must(template.New("home").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Socktopus</title>
<style>
body { font-family: system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem; color: #222; background: #fff }
code { overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } }
</style>
</head>
<body>
<svg role="img" aria-label="Logo" width="72" height="72" viewBox="0 0 72 72" fill="none" stroke="#7a4fd0" stroke-width="5" stroke-linecap="round">
<circle cx="36" cy="26" r="18" fill="#7a4fd0"/><path d="M22 36q2 18-14 22M30 42q0 16-8 24M42 42q0 16 8 24M50 36q-2 18 14 22"/>
<circle cx="29" cy="24" r="2" stroke="#fff"/><circle cx="43" cy="24" r="2" stroke="#fff"/></svg>
<h1>Socktopus</h1>
<p>There are currently {{.Connected}} connected client(s)</p>
<h2>Services</h2>
<ul>{{range .Names}}
<li>{{.}}</li>{{end}}
</ul>
<h2>A new secret</h2>
<p>Made for this page alone, and kept nowhere:</p>
<p><code id="secret">{{.Secret}}</code></p>
</body>
</html>
`))

// home shows what the original's page showed, and the generated secret that its
// README speaks of.
func (d *Dialect) home(w http.ResponseWriter, _ *http.Request) {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_ = homePage.Execute(w, struct {
		Connected int
		Names     []string
		Secret    string
	}{d.connected(), d.rules.Load().names, hex.EncodeToString(secret)}) // the client may be gone
}
