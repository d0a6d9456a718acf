package app

// A Registry knows who is in the channels of the apps and signed in to them, in whatever
// processes, and may refuse who comes. An app has none in one process alone, and decides
// by what it knows itself.
//
// Enter and SignIn ask. answer is to be called once, from any goroutine, before they
// return or later, within a time that the Registry bounds: until then a channel's turn is
// kept, and what the client says waits. An error is for the client. Leave and SignOut take
// back one yes each, of who has left, or was gone when the yes came; they must not block.
// None may panic: a channel's turn would never be given back.
// app is an id, and user is empty for who is nobody in a channel.
type Registry interface {
	Enter(app, channel, user string, answer func(error))
	Leave(app, channel, user string)
	SignIn(app, user string, answer func(error))
	SignOut(app, user string)
}
