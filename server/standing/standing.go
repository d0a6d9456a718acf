// Package standing says what the parts of the program tell of one client to who operates
// the server. It knows neither how that is found out nor what it is shown with.
package standing

import "time"

// A Client is what is known of one client at one moment.
type Client struct {
	Transport string    // what carries it: "websocket", "polling", "jsonp" or "sse"
	Version   string    // of its protocol, such as "EIO4"; empty where there is one alone
	Remote    string    // its address with the port, as its request came
	User      string    // who it is signed in as; empty for nobody
	Since     time.Time // when it began
	Waiting   int       // bytes that are still to be written to it, or to be fetched by it
	Ending    string    // why it takes nothing any more; empty while it does
}

// A Stander is somebody of whom that is known. Standing may be called from any goroutine,
// with no lock held. It does not block.
type Stander interface {
	Standing() Client
}

// Since is when something began that a clock tells the age of, such as the loop's, which
// does not jump.
func Since(age time.Duration) time.Time { return time.Now().Add(-age) }
