package commandline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"poosh/auth"
	"poosh/server"
	"poosh/server/sends"
)

// maxPayload bounds a payload that is read, in bytes: more than any server takes.
const maxPayload = 64 << 20

func (l *line) sendCommand() *cli.Command {
	return &cli.Command{
		Name: "send", Usage: "sign an event and send it", ArgsUsage: "EVENT [JSON | -]",
		Description: `Sends as senders do: signed with SERVER_SECRET, by POST /send to SERVER_PORT of this
machine. The payload is JSON and is sent as it is written; - reads it from standard input,
and without one the event has none. Without --room the event is for everybody.

It prints the event's id and how many connections took it.

Exit codes: 0 sent, 1 failed, 2 misused, 3 refused since the secret is wrong, 4 no answer,
5 sent and nobody was there, with --require-subscriber.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "room", Usage: "the room that it is for; without, everybody"},
			&cli.BoolFlag{Name: "explain", Usage: "print what became of it, and why those did not get it that did not"},
			&cli.BoolFlag{Name: "require-subscriber", Usage: "exit with 5 when nobody took it"},
			urlFlag("SERVER_PORT", "https://push.example.com:1337"), jsonFlag(),
		},
		Action: untilSignal(l.send),
	}
}

func (l *line) tokenCommand() *cli.Command {
	return &cli.Command{
		Name: "token", Usage: "print the token that a sender of a payload signs with", ArgsUsage: "[JSON | -]",
		Description: `Prints what the header Authorization of POST /send must be for a payload that stands in
the body as it is written here; without one, for a body without a payload. It is made with
SERVER_SECRET.

Exit codes: 0 printed, 1 failed, 2 misused.`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: untilSignal(l.token),
	}
}

func (l *line) token(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 1); err != nil {
		return err
	}
	payload, err := l.payload(ctx, c, 0)
	if err != nil {
		return err
	}
	_, secret, err := l.secret()
	if err != nil {
		return err
	}
	token := auth.PooshSign(secret, trimJSON(payload))
	if c.Bool("json") {
		return l.json(struct {
			Token string `json:"token"`
		}{token})
	}
	return l.print(token)
}

// An outcome is what a sender learns of an event that was taken.
type outcome struct {
	ID        string          `json:"id"`
	Delivered int             `json:"delivered"`       // -1 where nobody counts over all nodes
	Nodes     int             `json:"nodes,omitempty"` // of a cluster that were handed it
	Account   json.RawMessage `json:"explanation,omitempty"`

	some bool // who has said so did take it, though others have yet to
}

func (l *line) send(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 1, 2); err != nil {
		return err
	}
	payload, err := l.payload(ctx, c, 1)
	if err != nil {
		return err
	}
	cfg, secret, err := l.secret()
	if err != nil {
		return err
	}
	at, err := l.where(c, cfg, "SERVER_PORT")
	if err != nil {
		return err
	}
	if !strings.HasSuffix(at.Path, "/send") {
		at.Path += "/send"
	}
	if c.Bool("explain") || c.Bool("require-subscriber") { // in a cluster nobody counts unless it is asked for
		at.RawQuery = "explain=1"
	}
	body, err := eventBody(c, payload)
	if err != nil {
		return l.misused(c, "%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return l.fail(Failed, "%v", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", auth.PooshSign(secret, trimJSON(payload)))
	status, header, answer, err := l.ask(newClient(c), req)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return l.notSent(at.Host, status, answer)
	}
	o := outcome{ID: header.Get(sends.Header)}
	if c.Bool("explain") {
		o.Account = answer
	}
	if o.Nodes, err = strconv.Atoi(header.Get(sends.NodesHeader)); err == nil && o.ID != "" && header.Get(sends.DeliveredHeader) == "" {
		var counted struct{ Handed int } // by the nodes that have said so
		o.Delivered, o.some = -1, json.Unmarshal(answer, &counted) == nil && counted.Handed > 0
		return l.sent(c, o)
	}
	if o.Delivered, err = strconv.Atoi(header.Get(sends.DeliveredHeader)); err != nil || o.ID == "" {
		return l.fail(Failed, "%s answers as no server of Poosh does: look whether --url or SERVER_PORT is right", at.Host)
	}
	return l.sent(c, o)
}

// sent prints what became of an event.
func (l *line) sent(c *cli.Command, o outcome) error {
	var err error
	switch {
	case c.Bool("json"):
		if len(o.Account) == 0 {
			o.Account = nil
		}
		err = l.json(o)
	case c.Bool("explain"):
		err = l.explained(o)
	case o.Delivered < 0:
		nodes := "nodes"
		if o.Nodes == 1 {
			nodes = "node"
		}
		err = l.print(fmt.Sprintf("sent %s, to %d %s", printable(o.ID), o.Nodes, nodes))
	default:
		err = l.print(fmt.Sprintf("sent %s, %s", printable(o.ID), took(o.Delivered)))
	}
	if err == nil && o.Delivered < 0 && !o.some && c.Bool("require-subscriber") {
		return l.fail(Failed, "several nodes act as one, and not all of them have said who took it")
	}
	if err == nil && o.Delivered == 0 && c.Bool("require-subscriber") {
		return l.fail(nobody, "nobody took it")
	}
	return err
}

func took(n int) string {
	switch n {
	case 0:
		return "nobody took it"
	case 1:
		return "1 connection took it"
	}
	return fmt.Sprintf("%d connections took it", n)
}

// explained prints an explanation for a person.
func (l *line) explained(o outcome) error {
	var a sends.Account
	if err := json.Unmarshal(o.Account, &a); err != nil {
		return l.fail(Failed, "the explanation is not understood: %v", err)
	}
	s := styleOf(l.Stdout)
	var b strings.Builder
	if a.Uncounted {
		fmt.Fprintf(&b, "sent %s, which %s\n", printable(a.ID), printable(a.Text))
	} else {
		fmt.Fprintf(&b, "sent %s, %s\n", printable(a.ID), took(a.Handed))
	}
	for _, r := range a.Rooms {
		room := "for everybody"
		if r.Room != nil {
			room = "room " + strconv.Quote(printable(*r.Room))
		}
		if !a.Uncounted {
			fmt.Fprintf(&b, "%s: %d there, %d took it\n", s.bold(room), r.Matched, r.Handed)
		} else if len(r.By)+len(r.LeftOut)+len(r.Left)+len(r.Nodes) > 0 {
			fmt.Fprintf(&b, "%s, as far as is known:\n", s.bold(room))
		}
		for _, by := range r.By {
			fmt.Fprintf(&b, "  %s: %d there, %d took it", printable(strings.Join(strings.Fields(by.Dialect+" "+by.App+" "+by.Kind), " ")), by.Matched, by.Handed)
			if by.Waiting > 0 {
				fmt.Fprintf(&b, ", %d of them have yet to poll", by.Waiting)
			}
			b.WriteByte('\n')
		}
		for _, at := range r.Nodes {
			fmt.Fprintf(&b, "  node %s: %d there, %d took it\n", printable(at.Node), at.Matched, at.Handed)
		}
		for _, out := range r.LeftOut {
			n := ""
			if out.Count > 0 {
				n = fmt.Sprintf("%d x ", out.Count)
			}
			fmt.Fprintf(&b, "  %s%s: %s\n", n, s.yellow(printable(string(out.Cause))), printable(out.Text))
		}
		for _, left := range r.Left {
			fmt.Fprintf(&b, "  %s left %s ago: %s\n", printable(left.Client), printable(left.Ago), printable(left.Why))
		}
	}
	return l.print(strings.TrimSuffix(b.String(), "\n"))
}

// notSent says why an event was not taken.
func (l *line) notSent(host string, status int, answer []byte) error {
	switch status {
	case http.StatusUnauthorized:
		return l.fail(refused, "%s refuses the signature: its SERVER_SECRET is another one than that here", host)
	case http.StatusServiceUnavailable:
		return l.fail(Failed, "%s does not take it now: %s; try again", host, saidBy(status, answer))
	}
	return l.fail(Failed, "%s does not take it: %s", host, saidBy(status, answer))
}

// saidBy is what a server says is wrong.
func saidBy(status int, answer []byte) string {
	var said struct{ Error string }
	if json.Unmarshal(answer, &said) == nil && said.Error != "" {
		return fmt.Sprintf("%d, %s", status, said.Error)
	}
	return fmt.Sprintf("%d %s", status, http.StatusText(status))
}

// secret is what senders sign with.
func (l *line) secret() (cfg *server.Config, secret string, err error) {
	cfg, err = l.settings()
	if err != nil {
		return nil, "", err
	}
	secret, _ = cfg.Value("SERVER_SECRET").(string)
	if secret == "" {
		return nil, "", l.fail(Failed, "SERVER_SECRET is not set: it is what events are signed with")
	}
	return cfg, secret, nil
}

// payload is the argument at a place, if there is one, or what standard input has.
func (l *line) payload(ctx context.Context, c *cli.Command, at int) ([]byte, error) {
	if c.Args().Len() <= at {
		return nil, nil
	}
	text := []byte(c.Args().Get(at))
	if string(text) == "-" {
		var err error
		if text, err = readAll(ctx, l.Stdin); err != nil {
			return nil, l.fail(Failed, "standard input: %v", err)
		}
	}
	if !json.Valid(text) {
		return nil, l.misused(c, `the payload is no JSON: want such as '{"key": "value"}', or '"text"' with its quotes`)
	}
	return text, nil
}

// readAll reads to the end, or until ctx ends: nobody may write there.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	go func() { // ends with the input, or with the process
		text, err := io.ReadAll(io.LimitReader(r, maxPayload+1))
		if err == nil && len(text) > maxPayload {
			err = errors.New("more than any server takes")
		}
		done <- read{text, err}
	}()
	select {
	case got := <-done:
		return got.text, got.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// trimJSON is a JSON text without what stands around it.
func trimJSON(text []byte) []byte { return bytes.Trim(text, " \t\r\n") }

// eventBody is the body of POST /send, with the payload as it is.
func eventBody(c *cli.Command, payload []byte) ([]byte, error) {
	event, room := c.Args().First(), c.String("room")
	var b bytes.Buffer
	b.WriteByte('{')
	if c.IsSet("room") {
		b.WriteString(`"room":` + jsonText(room) + ",")
	}
	b.WriteString(`"event":` + jsonText(event))
	if payload != nil {
		b.WriteString(`,"payload":`)
		b.Write(payload)
	}
	b.WriteByte('}')
	if event == "" {
		return nil, errors.New("the event has no name")
	}
	return b.Bytes(), nil
}

func jsonText(text string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string
	return strings.TrimSuffix(b.String(), "\n")
}
