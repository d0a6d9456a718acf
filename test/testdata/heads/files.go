// Package captured embeds the files of this directory for poosh/test/heads, which
// says what they are.
package captured

import "embed"

// Files are the heads, by file name.
//
//go:embed *.http
var Files embed.FS
