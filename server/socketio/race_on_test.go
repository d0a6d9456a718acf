//go:build race

package socketio

// slower is how much shorter walks are where the race detector makes each ten times slower.
const slower = 1
