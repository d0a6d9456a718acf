package pushsocket

// A happening is what the dialect counts: one of these, so that nothing that somebody
// says becomes a name.
type happening uint8

const (
	registered happening = iota
	devicesRemoved
	identitiesExpired
	identitiesRemoved
	contactsExpired
	prekeysRemoved
	authorized
	messagesStored
	messagesPushed
	messagesConfirmed
	messagesExpired
	messagesDropped
	mailboxFull
	mailboxShare
	mailboxStrangers
	noDevice
	confirmationsRefused
	pushesHeldBack
	storeFailed
	clockJumps

	// Requests and authentications that were not done.

	refusedCredentials
	refusedNotRegistered
	refusedRegistered
	refusedRevoked
	refusedTime
	refusedSignature
	refusedPath
	refusedMethod
	refusedOrigin
	refusedSecondDevice
	refusedShutdown
	refusedOverloaded
	refusedCoding
	refusedBodySize
	refusedBody
	refusedInputFull
	refusedKeySize
	refusedKeys
	refusedKeyBytes
	refusedKeysFull
	refusedIdentitiesFull
	refusedNoKey
	refusedRevokedKey
	refusedNoIdentity
	refusedMessages
	refusedHeaders
	refusedRequestRate
	refusedRegistrationRate
	refusedKeyRate
	refusedOperator
	refusedOperatorRequest

	happenings // how many there are
)

// refusedMark begins the names of refusals.
const refusedMark = "refused: "

var happeningNames = [happenings]string{
	registered:           "registered",
	devicesRemoved:       "devices removed",
	identitiesExpired:    "identities expired",
	identitiesRemoved:    "identities removed",
	contactsExpired:      "contacts expired",
	prekeysRemoved:       "prekeys removed",
	authorized:           "authorized",
	messagesStored:       "messages stored",
	messagesPushed:       "messages pushed",
	messagesConfirmed:    "messages confirmed",
	messagesExpired:      "messages expired",
	messagesDropped:      "messages dropped",
	mailboxFull:          "messages refused: mailbox full",
	mailboxShare:         "messages refused: share of a mailbox",
	mailboxStrangers:     "messages refused: strangers' part of a mailbox",
	noDevice:             "messages refused: no such device",
	confirmationsRefused: "confirmations refused",
	pushesHeldBack:       "pushes held back",
	storeFailed:          "store failed",
	clockJumps:           "clock jumps",

	refusedCredentials:      refusedMark + "badly formed credentials",
	refusedNotRegistered:    refusedMark + "not registered",
	refusedRegistered:       refusedMark + "registered",
	refusedRevoked:          refusedMark + "revoked",
	refusedTime:             refusedMark + "time",
	refusedSignature:        refusedMark + "signature",
	refusedPath:             refusedMark + "no such path",
	refusedMethod:           refusedMark + "method",
	refusedOrigin:           refusedMark + "origin",
	refusedSecondDevice:     refusedMark + "second device",
	refusedShutdown:         refusedMark + "shutting down",
	refusedOverloaded:       refusedMark + "overloaded",
	refusedCoding:           refusedMark + "content encoding",
	refusedBodySize:         refusedMark + "body too large",
	refusedBody:             refusedMark + "badly formed body",
	refusedInputFull:        refusedMark + "input full",
	refusedKeySize:          refusedMark + "key too large",
	refusedKeys:             refusedMark + "too many keys",
	refusedKeyBytes:         refusedMark + "too many bytes of keys",
	refusedKeysFull:         refusedMark + "keys full",
	refusedIdentitiesFull:   refusedMark + "identities full",
	refusedNoKey:            refusedMark + "no such key",
	refusedRevokedKey:       refusedMark + "revoked key",
	refusedNoIdentity:       refusedMark + "no such identity",
	refusedMessages:         refusedMark + "too many messages in a request",
	refusedHeaders:          refusedMark + "too many headers in a request",
	refusedRequestRate:      refusedMark + "too many requests",
	refusedRegistrationRate: refusedMark + "too many registrations",
	refusedKeyRate:          refusedMark + "too many keys of one identity",
	refusedOperator:         refusedMark + "operator",
	refusedOperatorRequest:  refusedMark + "operator's request",
}

// counted is what a refusal of credentials is counted as.
func (r reason) counted() happening {
	switch r {
	case reasonBadlyFormed:
		return refusedCredentials
	case reasonNotRegistered:
		return refusedNotRegistered
	case reasonRegistered:
		return refusedRegistered
	case reasonRevoked:
		return refusedRevoked
	case reasonTime:
		return refusedTime
	}
	return refusedSignature
}
