// Command gosender calls the official Go library as the tests tell it: gosender
// SETTINGS CALL ARGUMENTS, with the first and the last as JSON. It prints what the
// call returned, or the error, as JSON.
//
// It is a module of its own, so that the server's module does not depend on the
// library.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	pusher "github.com/pusher/pusher-http-go/v5"
)

type settings struct {
	App, Key, Secret, MasterKey string
	Port                        int
}

type arguments struct {
	Channel  string
	Channels []string
	Event    string
	Data     any
	Socket   string
	Info     string
	Prefix   string
	User     string
	Body     string
	Header   http.Header
	Batch    []pusher.Event
}

func main() {
	result, err := run(os.Args[1], os.Args[2], os.Args[3])
	text := ""
	if err != nil {
		text = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"result": result, "error": text}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(config, call, args string) (any, error) {
	var s settings
	var a arguments
	if err := json.Unmarshal([]byte(config), &s); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(args), &a); err != nil {
		return nil, err
	}
	c := pusher.Client{
		AppID: s.App, Key: s.Key, Secret: s.Secret, Host: fmt.Sprintf("127.0.0.1:%d", s.Port),
		EncryptionMasterKeyBase64: s.MasterKey,
	}
	optional := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	switch call {
	case "trigger":
		return nil, c.Trigger(a.Channel, a.Event, a.Data)
	case "triggerMulti":
		return c.TriggerMultiWithParams(a.Channels, a.Event, a.Data, pusher.TriggerParams{SocketID: optional(a.Socket), Info: optional(a.Info)})
	case "triggerBatch":
		return c.TriggerBatch(a.Batch)
	case "sendToUser":
		return nil, c.SendToUser(a.User, a.Event, a.Data)
	case "channels":
		return c.Channels(pusher.ChannelsParams{FilterByPrefix: optional(a.Prefix), Info: optional(a.Info)})
	case "channel":
		return c.Channel(a.Channel, pusher.ChannelParams{Info: optional(a.Info)})
	case "users":
		return c.GetChannelUsers(a.Channel)
	case "authorizePrivate":
		b, err := c.AuthorizePrivateChannel([]byte(a.Body))
		return string(b), err
	case "authorizePresence":
		b, err := c.AuthorizePresenceChannel([]byte(a.Body), pusher.MemberData{UserID: a.User, UserInfo: map[string]string{"name": a.User}})
		return string(b), err
	case "authenticateUser":
		b, err := c.AuthenticateUser([]byte(a.Body), map[string]any{"id": a.User})
		return string(b), err
	case "webhook":
		return c.Webhook(a.Header, []byte(a.Body))
	}
	return nil, fmt.Errorf("no call %q", call)
}
