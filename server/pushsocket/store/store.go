// Package store keeps what the Push Socket dialect must not lose: who is
// registered, their prekeys, and the messages that wait for their devices. It
// knows no socket and no request.
//
// [Store] is what the dialect asks for; [Open] gives one on SQLite, for one process, or on
// PostgreSQL, for one or several. The rules are the same: keeper.go and what it names has
// them, and two engines what differs. A change
// is on the disk when a method returns without an error, and not there at all when
// it returns one, save [ErrSlow] that says otherwise.
package store

import (
	"cmp"
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
	ErrKeysTooLarge  = errors.New("more bytes of keys than a device may have")
	ErrFull          = errors.New("no more identities may register")
	// ErrKeysFull says that the part of the file that is not for messages alone is
	// used up.
	ErrKeysFull = errors.New("no room for more keys")

	// ErrOpen is wrapped by what [Open] returns.
	ErrOpen = errors.New("database cannot be opened")

	// ErrUnavailable is wrapped by every error of the disk or the database
	// itself. Nothing was stored.
	ErrUnavailable = errors.New("store is not available")
	// ErrBusy and ErrClosed are unavailable for a moment and for good. ErrSlow is
	// for a caller whose context ended first; the error says whether what it
	// wanted may still be stored.
	ErrBusy   = errors.New("too much waits to be stored")
	ErrSlow   = errors.New("storing took too long")
	ErrClosed = errors.New("store is closed")
)

// A DeviceID names a device inside one store. It is never used again for another.
type DeviceID int64

// A Device is one that is registered, as a caller is answered about itself.
type Device struct {
	ID      DeviceID
	Prekeys int       // left
	Used    time.Time // when it used the service last, to a day; zero if it only registered
}

// Keys are what a device publishes for others: opaque JSON objects, kept and given
// out as they came.
type Keys struct {
	LastResort []byte // nil to keep the one that is there
	Prekeys    [][]byte
}

// An Outgoing is a message for some devices. Its body is stored once for all of
// them. Header and Body are JSON strings, quotes included, kept byte for byte.
type Outgoing struct {
	Body   []byte
	Copies []Copy
}

// A Copy is what one device gets of an [Outgoing] beside its body.
type Copy struct {
	To     auth.Address
	Header []byte
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
	DeviceFull                       // as many messages wait as may, or bytes
	SenderFull                       // as many of this sender
	StrangersFull                    // as many of senders that the device knows no better
)

// A Message is one that waits for its device.
type Message struct {
	Seq          int64  // grows with each message of its device, and may be of one of another too
	ID           string // what its device confirms it by: 24 hexadecimal digits
	Header, Body []byte // as in Copy
}

// Limits bound a store. Zero fields mean the defaults named here.
type Limits struct {
	MessagesPerDevice int   // that wait; 1,000
	BytesPerDevice    int64 // of their headers and bodies; 32 MiB
	// SenderPercent is how much of both one sender may use of a mailbox; 25. A
	// device's own mail to itself may use all.
	SenderPercent int
	// StrangersPercent is how much of both all senders together may use that are new to
	// the device; 50. With those it has only heard from they may use half of the rest
	// too. What is left is for those it has written to, and for itself.
	StrangersPercent  int
	ContactsPerDevice int // that it is remembered to have heard from or written to; 1,000
	// DropOldest makes room by removing the oldest message, of senders that are known no
	// better; else the new one is refused.
	DropOldest bool
	MaxAge     time.Duration // of a message; 30 days

	PrekeysPerDevice  int   // 1,000
	KeyBytesPerDevice int64 // of prekeys and the last resort key; 512 KiB

	Identities int           // that are registered or were revoked; 1,000,000
	UnusedAge  time.Duration // after which an identity goes that was only registered; 30 days
	IdleAge    time.Duration // after which one goes that has not been used since; 365 days

	BytesOnDisk int64 // of the database file, or of PostgreSQL's tables; 10 GiB. Fixed when it is opened
	// KeysPercent is the part of BytesOnDisk that may be in use when identities and
	// keys still come in; 75. What is left is for messages alone.
	KeysPercent int

	WritesWaiting      int // 2,048
	BytesWaiting       int // of changes that wait or are being written; 64 MiB
	ConcurrentReadings int // 4
}

// WithDefaults returns the limits with every zero field filled.
func (l Limits) WithDefaults() Limits {
	l.MessagesPerDevice = cmp.Or(l.MessagesPerDevice, 1000)
	l.BytesPerDevice = cmp.Or(l.BytesPerDevice, 32<<20)
	l.SenderPercent = cmp.Or(l.SenderPercent, 25)
	l.StrangersPercent = cmp.Or(l.StrangersPercent, 50)
	l.ContactsPerDevice = cmp.Or(l.ContactsPerDevice, 1000)
	l.MaxAge = cmp.Or(l.MaxAge, 30*24*time.Hour)
	l.PrekeysPerDevice = cmp.Or(l.PrekeysPerDevice, 1000)
	l.KeyBytesPerDevice = cmp.Or(l.KeyBytesPerDevice, 512<<10)
	l.Identities = cmp.Or(l.Identities, 1_000_000)
	l.UnusedAge = cmp.Or(l.UnusedAge, 30*24*time.Hour)
	l.IdleAge = cmp.Or(l.IdleAge, 365*24*time.Hour)
	l.BytesOnDisk = cmp.Or(l.BytesOnDisk, 10<<30)
	l.KeysPercent = cmp.Or(l.KeysPercent, 75)
	l.WritesWaiting = cmp.Or(l.WritesWaiting, 2048)
	l.BytesWaiting = cmp.Or(l.BytesWaiting, 64<<20)
	l.ConcurrentReadings = cmp.Or(l.ConcurrentReadings, 4)
	return l
}

// Usage is what a store holds.
type Usage struct {
	Identities int       `json:"identities"`
	Revoked    int       `json:"revoked"`
	Unused     int       `json:"unused"` // since they registered
	Devices    int       `json:"devices"`
	Prekeys    int       `json:"prekeys"`
	KeyBytes   int64     `json:"keyBytes"`
	Contacts   int       `json:"contacts"` // of all devices
	Messages   int       `json:"messages"`
	Bytes      int64     `json:"messageBytes"` // as devices will be given them: a shared body counts for each
	Oldest     time.Time `json:"oldestMessage,omitzero"`
	FullestOf  int       `json:"mostMessagesOfADevice"`
	// InUse is how many bytes of the database file are in use; of PostgreSQL's tables, what
	// BytesOnDisk is compared with: their size, or about what is in them when that is beyond.
	InUse int64 `json:"bytesInUse"`
	// OnDisk is how many bytes the file and the two beside it have, or the tables with
	// their indexes.
	OnDisk int64 `json:"bytesOnDisk"`
}

// A Store keeps identities, prekeys and messages. Its methods may be called from
// any goroutine and wait for the disk, at most until their context ends: see
// [ErrSlow]. Every error wraps one of the errors of this package or is the
// context's.
type Store interface {
	// Find returns the device of an address: ErrNotRegistered for an identity
	// or a device that never was, ErrRevoked for one that is no more.
	Find(ctx context.Context, a auth.Address) (Device, error)
	// Knows reports whether an identity is registered or was revoked.
	Knows(ctx context.Context, key string) (bool, error)
	// Used notes that devices used the service. It never waits and may be asked
	// too often: it writes once a day for each.
	Used(devices ...Device)

	// Register enters an identity with its first device: ErrRegistered,
	// ErrTooManyKeys, ErrKeysTooLarge, ErrFull, ErrKeysFull.
	Register(ctx context.Context, a auth.Address, k Keys) (Device, error)
	// AddKeys appends prekeys: ErrRevoked, ErrTooManyKeys, ErrKeysTooLarge,
	// ErrKeysFull.
	AddKeys(ctx context.Context, d DeviceID, k Keys) (Device, error)
	// TakeKeys takes the oldest prekey of each device of an identity, or the
	// last resort of one that has none, by device id. caller is told of its own.
	// ErrNotRegistered, ErrRevoked.
	TakeKeys(ctx context.Context, key string, caller DeviceID) (map[string][]byte, Device, error)
	// Remove takes a device away with its keys and messages, and revokes the
	// identity with its last one: ErrRevoked.
	Remove(ctx context.Context, d DeviceID) error

	// Queue stores messages of a sender, all copies that can be or, on an error,
	// none. Outcomes are in the order of the copies. stored, unless it is nil, is
	// told of them, when they are on the disk after all, if ctx ended before;
	// it must not block.
	Queue(ctx context.Context, sender DeviceID, messages []Outgoing, stored func([]Outcome)) ([]Outcome, Device, error)
	// Pending returns messages of a device after a Seq, oldest first: at least
	// one when there is one, and not many more than maxBytes.
	Pending(ctx context.Context, d DeviceID, after int64, maxBytes int) ([]Message, error)
	// Confirm removes messages of a device by id and returns how many there
	// were. Ids of other devices' messages are as good as unknown. The device has heard
	// from their senders then.
	Confirm(ctx context.Context, d DeviceID, ids []string) (int, error)
	// Expire removes messages stored before a time.
	Expire(ctx context.Context, before time.Time) (int, error)

	// ExpireIdentities removes identities with all they have: those that
	// registered before unused and were never used, and those, revoked ones
	// too, that were last used before idle.
	ExpireIdentities(ctx context.Context, unused, idle time.Time) (Removed, error)
	// ExpireContacts has devices forget whom they have not heard from or written to
	// since a time, and returns how many contacts these were.
	ExpireContacts(ctx context.Context, before time.Time) (int, error)
	// RemoveIdentity removes an identity with all it has; it may register again.
	// ErrNotRegistered.
	RemoveIdentity(ctx context.Context, key string) (Removed, error)
	// RemovePrekeys removes the prekeys of an identity and returns how many there
	// were; the last resort keys stay. ErrNotRegistered.
	RemovePrekeys(ctx context.Context, key string) (int, error)

	// Ready returns nil while changes can be written: an error that wraps ErrUnavailable
	// says why they cannot.
	Ready(ctx context.Context) error

	Limits() Limits
	// SetLimits changes limits for what comes, save BytesOnDisk and what follows
	// it.
	SetLimits(Limits)
	Usage(ctx context.Context) (Usage, error)
	// Close waits for what is being written. When ctx ends first it returns an
	// error that wraps ErrSlow, and what was being written is stored whole or not
	// at all. Later calls of the other methods return ErrClosed.
	Close(ctx context.Context) error
}

// Removed says what went when identities were removed.
type Removed struct {
	Identities int
	Devices    []DeviceID
}
