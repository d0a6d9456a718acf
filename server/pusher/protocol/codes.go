package protocol

// Codes of errors and closes (Pusher Channels protocol, "Error Codes"). pusher-js
// stays away after 4000 to 4099, returns after a second from 4100 to 4199 and at
// once from 4200 to 4299; 4300 and above are never a close, only an error.
const (
	CodeNoApp        = 4001
	CodeDisabled     = 4003
	CodeOverQuota    = 4004
	CodeNoPath       = 4005
	CodeBadVersion   = 4006
	CodeOldVersion   = 4007
	CodeUnauthorized = 4009
	CodeFull         = 4100
	CodeReconnect    = 4200
	CodeNoPong       = 4201
	CodeInactive     = 4202
	CodeClientEvent  = 4301
	CodeWatchlist    = 4302
)

// Versions of the protocol that are spoken. Version 4 knows no pusher:ping.
const (
	OldestVersion = 4
	NewestVersion = 7
)
