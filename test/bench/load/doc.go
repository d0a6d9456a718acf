// Package load is the clients' side of the benchmark: a [Crowd] of clients that
// one thread serves over one epoll descriptor, and [Publisher], who sends signed
// events. It knows protocols and no server.
//
// # Why
//
// The machine is shared with the server that is measured, so a delivery has to
// cost little here: nothing is allocated for one, frames are read many at a time
// into one buffer, and an event is recognized by its place in the frame, not by
// parsing JSON. Yet every delivery is checked: the payload byte by byte, and the
// order of each publisher's events on each connection.
package load
