package commandline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"poosh/server/fleet"
)

const (
	// silence is how long a stream may say nothing before it counts as broken: a server
	// says something every 15 s.
	silence = 45 * time.Second
	// maxLine bounds a line of a stream, in bytes.
	maxLine = 80 << 20
)

func (l *line) tailCommand() *cli.Command {
	return &cli.Command{
		Name: "tail", Usage: "print what is sent, as it happens",
		Description: `Asks the operators' port (ADMIN_PORT) for each send that the server takes, in all dialects:
when, what, to whom, and how many connections took it. What comes faster than it can be
shown is counted and left out. It connects again when the connection breaks. In a cluster it
tells of all nodes: each line has its node, and a node that comes, goes or does not answer is told
of on standard error.

Exit codes: 0 ended by Ctrl-C, --count or --for, 1 failed, 2 misused, 3 refused, 4 there
was no connection in the time of --for, 5 that time was over before --count were seen.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "room", Usage: "only what is sent to this room or channel"},
			&cli.StringFlag{Name: "dialect", Usage: "only of one: socket.io, pusher, socktopus, echo or push socket"},
			&cli.StringFlag{Name: "app", Usage: "only of one app"},
			nodeFlag("only what one node takes"),
			&cli.BoolFlag{Name: "payload", Usage: "print payloads too; wants ADMIN_TOKEN"},
			urlFlag("ADMIN_PORT", "http://127.0.0.1:9000"), jsonFlag(),
		}, boundFlags("sends")...),
		Action: untilSignal(l.tail),
	}
}

// A told send is one as the stream has it.
type told struct {
	Node, ID, At, Dialect, App, Event string // Node is empty in one process alone
	Room                              *string
	Size, Handed                      int
	Uncounted                         bool // other nodes have it too
	Payload                           json.RawMessage
}

func (l *line) tail(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 0); err != nil {
		return err
	}
	b, err := l.bounds(c)
	if err != nil {
		return err
	}
	o, err := l.operator(c)
	if err != nil {
		return err
	}
	query := make(url.Values)
	for _, name := range []string{"room", "dialect", "app", "node"} {
		if c.IsSet(name) {
			query.Set(name, c.String(name))
		}
	}
	if c.Bool("payload") {
		query.Set("payload", "1")
	}
	show := l.tailLine(styleOf(l.Stdout))
	if c.Bool("json") {
		show = func(data []byte) error { return l.print(printableJSON(data)) }
	}
	return l.follow(ctx, b, o.at.Host, func(ctx context.Context, up func(), printed func() error) error {
		return o.stream(ctx, "/api/tail", query, up, func(event string, data []byte) error {
			switch event {
			case "send":
				if err := show(data); err != nil {
					return err // it has said why
				}
				return printed()
			case "dropped":
				var d struct {
					Node  string
					Count int
				}
				_ = json.Unmarshal(data, &d)
				l.complain("%d sends came too fast to be shown%s", d.Count, ofNode(d.Node))
			case "node":
				var n fleet.NodeState
				_ = json.Unmarshal(data, &n)
				l.complain("%s", nodeText(n))
			}
			return nil
		})
	})
}

// ofNode is whose something is; nothing in one process alone.
func ofNode(name string) string {
	if name == "" {
		return ""
	}
	return ", of node " + name
}

// nodeText is what has become of a node.
func nodeText(n fleet.NodeState) string {
	text := "node " + n.Node
	switch n.State {
	case fleet.Watched:
		text += ": what it takes is shown"
	case fleet.Gone:
		text += " is gone"
	default:
		text += ": what it takes is not shown"
	}
	if n.Why != "" {
		text += ": it " + n.Why
	}
	return text
}

// tailLine prints a send for a person.
func (l *line) tailLine(s style) func(data []byte) error {
	return func(data []byte) error {
		var t told
		if err := json.Unmarshal(data, &t); err != nil {
			return nil // a newer server may say more than is known here
		}
		room := "everybody"
		if t.Room != nil {
			room = strconv.Quote(printable(*t.Room))
		}
		at := s.dim(clock(t.At))
		if t.Node != "" {
			at += " " + printable(t.Node)
		}
		dialect := strings.TrimSpace(printable(t.Dialect) + " " + printable(t.App))
		handed := took(t.Handed)
		if t.Uncounted {
			handed = "for all nodes"
		}
		text := fmt.Sprintf("%s %s %s to %s, %d bytes, %s %s", at, dialect, s.bold(printable(t.Event)), room,
			t.Size, handed, s.dim(printable(t.ID)))
		if t.Payload != nil {
			text += "\n  " + printableJSON(t.Payload)
		}
		return l.print(text)
	}
}

// clock is a time of a server as it is here.
func clock(at string) string {
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return printable(at)
	}
	return t.Local().Format("15:04:05.000")
}

// stream asks for Server-Sent Events and hands each to event, until one of both ends.
func (o *operator) stream(ctx context.Context, path string, query url.Values, up func(), event func(name string, data []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(silence, func() { cancel(errors.New("it says nothing any more")) })
	defer quiet.Stop()
	req, err := o.request(ctx, http.MethodGet, path, query)
	if err != nil {
		return err
	}
	res, err := o.client.Do(req)
	if err != nil {
		return noAnswer(req.URL, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(res.Body, 1<<16)) // what there is of it
		if res.StatusCode == http.StatusServiceUnavailable {
			return errors.New(saidBy(res.StatusCode, answer)) // as many watch as may, or it ends
		}
		return o.refused(res.StatusCode, answer)
	}
	up()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxLine)
	var name string
	for lines.Scan() {
		quiet.Reset(silence)
		text := lines.Bytes()
		switch field, value, _ := bytes.Cut(text, []byte(": ")); string(field) {
		case "event":
			name = string(value)
		case "data":
			if err := event(name, value); err != nil {
				return err
			}
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return errors.New("the connection ended")
}
