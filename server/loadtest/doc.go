// Package loadtest puts load on a push server and says what became of it: crowds of
// clients of socket.io (Engine.IO 3 and 4, over WebSocket or polling) or of Pusher
// Channels, publishers who send to their rooms at a pace or flat out, and a [Report] of
// connections, deliveries, latency and everything that went wrong. It knows protocols and
// no server: what it loads may be this program's or another one.
//
// [New] makes a [Test], and [Test.Run], which may be called once, does it. All goroutines
// are started by Run and have ended when it returns.
//
// # What is counted
//
// Every delivery is checked: the payload byte by byte, and that each client gets each
// publisher's events to its room in order, once, without a gap. Nothing is kept for an
// event, and for a client some numbers for each publisher that its room has, so that
// memory is bounded by the size of the test and not by its duration.
//
// Latency is from the moment that an event was due to the moment that a client had read
// it: what a stalled server keeps back at a publisher is late for whoever waits for it,
// and not omitted (coordinated omission). Flat out nothing is due, and it is from when the
// event was sent.
//
// # Why
//
// The benchmark's own generator (test/bench/load) serves a crowd on one thread with epoll
// and is cheaper by far, but it gives up at the first surprise, and knows Linux and
// loopback alone. What both of them need, payloads and histograms, is here.
package loadtest
