// Package store keeps what the Push Socket dialect must not lose: who is
// registered, their prekeys, and the messages that wait for their devices. It
// knows no socket and no request.
//
// [Store] is what the dialect asks for; [Open] gives the one on SQLite. A change
// is on the disk when a method returns without an error, and not there at all when
// it returns one.
package store

import (
	"context"
	"errors"
	"time"

	"poosh/auth"
)

// What a caller decides by.
var (
	ErrNotRegistered = errors.New("not registered")
	ErrRegistered    = errors.New("registered already")
	ErrRevoked       = errors.New("revoked")
	ErrTooManyKeys   = errors.New("more prekeys than a device may have")
	ErrFull          = errors.New("no more identities may register")

	// ErrUnavailable is wrapped by every error of the disk or the database
	// itself. Nothing was stored.
	ErrUnavailable = errors.New("store is not available")
	// ErrBusy and ErrClosed are unavailable for a moment and for good.
	ErrBusy   = errors.New("too much waits to be stored")
	ErrClosed = errors.New("store is closed")
)

// A DeviceID names a device inside one store. It is never used again for another.
type DeviceID int64

// A Device is one that is registered, as a caller is answered about itself.
type Device struct {
	ID      DeviceID
	Prekeys int // left
}

// Keys are what a device publishes for others: opaque JSON objects, kept and given
// out as they came.
type Keys struct {
	LastResort []byte // nil to keep the one that is there
	Prekeys    [][]byte
}

// A Copy is a message for one device. Header and Body are JSON strings, quotes
// included, kept byte for byte.
type Copy struct {
	To           auth.Address
	Header, Body []byte
}

// An Outcome says what became of a Copy.
type Outcome struct {
	Kind    OutcomeKind
	Device  DeviceID // of a queued copy
	Dropped int      // older messages of the device that made room
}

// An OutcomeKind is one of the constants below.
type OutcomeKind uint8

// What may become of a copy.
const (
	Queued        OutcomeKind = iota // stored
	UnknownKey                       // nobody registered that identity key
	RevokedKey                       // the identity was revoked
	MissingDevice                    // the identity has no such device
	DeviceFull                       // as many messages wait as may
)

// A Message is one that waits for its device.
type Message struct {
	Seq          int64  // grows with each message of the store
	ID           string // what its device confirms it by: 24 hexadecimal digits
	Header, Body []byte // as in Copy
}

// Limits bound a store. Zero fields mean the defaults named here.
type Limits struct {
	MessagesPerDevice  int           // 1,000
	DropOldest         bool          // when a device has that many; else the new one is refused
	MaxAge             time.Duration // of a message; 30 days
	PrekeysPerDevice   int           // 1,000
	Identities         int           // registered ever, revoked ones too; 1,000,000
	BytesOnDisk        int64         // of the database file; 10 GiB. Fixed when it is opened
	WritesWaiting      int           // 2,048
	ConcurrentReadings int           // 4
}

// WithDefaults returns the limits with every zero field filled.
func (l Limits) WithDefaults() Limits {
	def(&l.MessagesPerDevice, 1000)
	def(&l.MaxAge, 30*24*time.Hour)
	def(&l.PrekeysPerDevice, 1000)
	def(&l.Identities, 1_000_000)
	def(&l.BytesOnDisk, 10<<30)
	def(&l.WritesWaiting, 2048)
	def(&l.ConcurrentReadings, 4)
	return l
}

func def[T comparable](v *T, value T) {
	if *v == *new(T) {
		*v = value
	}
}

// Usage is what a store holds.
type Usage struct {
	Identities int       `json:"identities"`
	Revoked    int       `json:"revoked"`
	Devices    int       `json:"devices"`
	Prekeys    int       `json:"prekeys"`
	Messages   int       `json:"messages"`
	Bytes      int64     `json:"messageBytes"`
	Oldest     time.Time `json:"oldestMessage,omitzero"`
	FullestOf  int       `json:"mostMessagesOfADevice"`
	OnDisk     int64     `json:"bytesOnDisk"`
}

// A Store keeps identities, prekeys and messages. Its methods may be called from
// any goroutine and wait for the disk. Every error wraps one of the errors of this
// package or is the context's.
type Store interface {
	// Find returns the device of an address: ErrNotRegistered for an identity
	// or a device that never was, ErrRevoked for one that is no more.
	Find(ctx context.Context, a auth.Address) (Device, error)
	// Knows reports whether an identity ever registered.
	Knows(ctx context.Context, key string) (bool, error)

	// Register enters an identity with its first device: ErrRegistered,
	// ErrTooManyKeys, ErrFull.
	Register(ctx context.Context, a auth.Address, k Keys) (Device, error)
	// AddKeys appends prekeys: ErrRevoked, ErrTooManyKeys.
	AddKeys(ctx context.Context, d DeviceID, k Keys) (Device, error)
	// TakeKeys takes the oldest prekey of each device of an identity, or the
	// last resort of one that has none, by device id. caller is told of its own.
	// ErrNotRegistered, ErrRevoked.
	TakeKeys(ctx context.Context, key string, caller DeviceID) (map[string][]byte, Device, error)
	// Remove takes a device away with its keys and messages, and revokes the
	// identity with its last one: ErrRevoked.
	Remove(ctx context.Context, d DeviceID) error

	// Queue stores copies, all that can be or, on an error, none.
	Queue(ctx context.Context, caller DeviceID, copies []Copy) ([]Outcome, Device, error)
	// Pending returns messages of a device after a Seq, oldest first: at least
	// one when there is one, and not many more than maxBytes.
	Pending(ctx context.Context, d DeviceID, after int64, maxBytes int) ([]Message, error)
	// Confirm removes messages of a device by id and returns how many there
	// were. Ids of other devices' messages are as good as unknown.
	Confirm(ctx context.Context, d DeviceID, ids []string) (int, error)
	// Expire removes messages stored before a time.
	Expire(ctx context.Context, before time.Time) (int, error)

	Limits() Limits
	// SetLimits changes limits for what comes, save BytesOnDisk, WritesWaiting
	// and ConcurrentReadings.
	SetLimits(Limits)
	Usage(ctx context.Context) (Usage, error)
	// Close waits for what is being written. Later calls return ErrClosed.
	Close() error
}
