//go:build !race

package socketio

const slower = 0
