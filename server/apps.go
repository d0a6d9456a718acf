package server

import (
	"maps"
	"net"
	"slices"
	"strconv"

	"poosh/server/closed"
	"poosh/server/dialect"
	"poosh/server/metric"
)

// An app is an application with the dialect that it belongs to and the ports that its
// clients and senders come to, as labels have them.
type app struct {
	dialect.App
	dialect          string
	clients, senders string
}

// apps are the applications of all dialects that are on.
func (s *Server) apps() []app {
	ports := s.portNumbers()
	var list []app
	for _, d := range s.dialects {
		if d.Apps == nil {
			continue
		}
		for _, a := range d.Apps() {
			list = append(list, app{a, d.name, ports[a.Clients], ports[a.Senders]})
		}
	}
	return list
}

// portNumbers are the numbers of the ports that are open, by their settings.
func (s *Server) portNumbers() map[string]string {
	numbers := make(map[string]string)
	for setting, addr := range s.Addrs() {
		if tcp, ok := addr.(*net.TCPAddr); ok {
			numbers[setting] = strconv.Itoa(tcp.Port)
		}
	}
	return numbers
}

// reasons are all that a connection can have for its end.
var reasons = slices.Collect(closed.Reasons)

// dialectReadings are what all dialects have, in our own names.
func dialectReadings(apps []app) []metric.Reading {
	type sums struct {
		published, delivered, bytes, received uint64
		ended                                 []uint64 // by reason
		kinds                                 []metric.Sample
		previous                              map[string]uint64
	}
	by := make(map[string]*sums)
	var order []string
	for i := range apps {
		a := &apps[i]
		of := by[a.dialect]
		if of == nil {
			of = &sums{ended: make([]uint64, len(reasons)), previous: make(map[string]uint64)}
			by[a.dialect] = of
			order = append(order, a.dialect)
		}
		of.published += a.Traffic.Published
		of.delivered += a.Traffic.Delivered
		of.bytes += a.Traffic.DeliveredBytes
		of.received += a.Traffic.Received
		of.kinds = addKinds(of.kinds, a.Kinds)
		for _, p := range a.Previous {
			of.previous[p.Labels[0]] += uint64(p.Value)
		}
		if a.Ends != nil {
			for i, r := range reasons {
				of.ended[i] += a.Ends.ClosedCount(r)
			}
		}
	}
	var published, delivered, bytes, received, ended, kinds, previous []metric.Sample
	for _, name := range order {
		of := by[name]
		published = append(published, metric.Of(of.published, name))
		delivered = append(delivered, metric.Of(of.delivered, name))
		bytes = append(bytes, metric.Of(of.bytes, name))
		received = append(received, metric.Of(of.received, name))
		for _, k := range of.kinds {
			kinds = append(kinds, metric.Sample{Labels: append([]string{name}, k.Labels...), Value: k.Value})
		}
		for i, r := range reasons {
			ended = append(ended, metric.Of(of.ended[i], name, r.String()))
		}
		for _, by := range slices.Sorted(maps.Keys(of.previous)) {
			previous = append(previous, metric.Of(of.previous[by], name, by))
		}
	}
	return []metric.Reading{
		metric.Counters("", "published_total", "Events that senders and clients sent and that were accepted, by dialect.", "dialect", published),
		metric.Counters("", "delivered_total", "Copies of events that were handed to clients, by the dialect that they were sent in; in a cluster to clients of this node, by their dialect.", "dialect", delivered),
		metric.Counters("", "delivered_data_bytes_total", "Bytes of the data of those copies, without frames, by dialect.", "dialect", bytes),
		metric.Counters("", "client_messages_total", "Messages of clients, by dialect.", "dialect", received),
		{Key: "ended", Name: "closed_total", Help: "Clients whose connection or session ended, by dialect and reason.", Kind: metric.IsCounter,
			Labels: []string{"dialect", "reason"}, Samples: ended},
		{Name: "clients", Help: "Clients that are connected, by dialect, by what carries them and by the version of their protocol, where there are several.",
			Kind: metric.IsGauge, Labels: []string{"dialect", "transport", "version"}, Samples: kinds},
		{Name: "previous_secret_total", Help: "How often somebody was let in by a secret that has been replaced, by dialect and by who that was: a sender, or a client with what its application has signed.",
			Kind: metric.IsCounter, Labels: []string{"dialect", "by"}, Samples: previous},
	}
}

// answers are the bytes of the bodies of answers, by application and port. What is counted
// for no application is that of the port, if it has one alone, and else nobody's.
func (s *Server) answers(apps []app) (list []metric.Sample) {
	type place struct{ app, port string }
	bytes := make(map[place]uint64)
	owners := make(map[string]string)
	for i := range apps {
		a := &apps[i]
		if a.Ends == nil { // it stands for those who belong to no application
			continue
		}
		bytes[place{a.ID, a.senders}] += a.Traffic.AnswerBytes
		for _, port := range []string{a.clients, a.senders} {
			if owner, known := owners[port]; known && owner != a.ID {
				owners[port] = ""
			} else {
				owners[port] = a.ID
			}
		}
	}
	ports := s.portNumbers()
	for _, p := range s.ports {
		number := ports[p.Setting]
		bytes[place{owners[number], number}] += p.server.Answered()
	}
	for at, n := range bytes {
		list = append(list, metric.Of(n, at.app, at.port))
	}
	// In one order, so that two scrapes differ in values alone.
	slices.SortFunc(list, func(a, b metric.Sample) int { return slices.Compare(a.Labels, b.Labels) })
	return list
}

// addKinds adds to the counts of kinds those of one application more.
func addKinds(sum, more []metric.Sample) []metric.Sample {
	for _, m := range more {
		i := slices.IndexFunc(sum, func(s metric.Sample) bool { return slices.Equal(s.Labels, m.Labels) })
		if i < 0 {
			sum = append(sum, m)
		} else {
			sum[i].Value += m.Value
		}
	}
	return sum
}

// sharedReadings are what other servers of this kind have under the same names, so that
// dashboards and alert rules that were made for them work (soketi and Sockudo). Four of
// the counters have no _total there; each is here under both names.
func sharedReadings(apps []app, answers []metric.Sample) []metric.Reading {
	var connected, opened, ended, errors, checks, limited metric.Reading
	errors.Labels = []string{"error_type"}
	checks.Labels, limited.Labels = []string{"limiter_type", "request_context"}, []string{"limiter_type", "request_context"}
	var channels, made, left metric.Reading
	kind := []string{"channel_type"}
	channels.Labels, made.Labels, left.Labels = kind, kind, kind
	var received, receivedBytes, sent, sentBytes, calls, callBytes metric.Reading
	for i := range apps {
		a := &apps[i]
		add := func(r *metric.Reading, port string, n uint64, labels ...string) {
			r.Samples = append(r.Samples, metric.Of(n, append([]string{a.ID, port}, labels...)...))
		}
		all := func(r *metric.Reading, list []metric.Sample) {
			for _, s := range list {
				add(r, a.clients, uint64(s.Value), s.Labels...)
			}
		}
		all(&errors, a.Refused)
		for _, l := range a.Limits {
			if l.On {
				add(&checks, a.clients, l.Asked, l.Of, l.By)
				add(&limited, a.clients, l.Over, l.Of, l.By)
			}
		}
		if a.Ends == nil { // it stands for those who belong to no application
			continue
		}
		add(&connected, a.clients, uint64(max(0, a.Connected)))
		add(&opened, a.clients, a.Ends.OpenedCount())
		add(&ended, a.clients, a.Ends.ClosedAll())
		if a.Channels != nil {
			all(&channels, a.Channels())
		}
		all(&made, a.Subscribed)
		all(&left, a.Left)
		add(&received, a.clients, a.Traffic.Received)
		add(&receivedBytes, a.clients, a.Traffic.ReceivedBytes)
		add(&sent, a.clients, a.Traffic.Delivered)
		add(&sentBytes, a.clients, a.Traffic.DeliveredBytes)
		add(&calls, a.senders, a.Traffic.Requests)
		add(&callBytes, a.senders, a.Traffic.RequestBytes)
	}
	list := []metric.Reading{
		common(connected, metric.IsGauge, "connected", "Clients that are connected."),
		common(opened, metric.IsCounter, "new_connections_total", "Clients that connected."),
		common(ended, metric.IsCounter, "new_disconnections_total", "Clients whose connection or session ended."),
		common(errors, metric.IsCounter, "connection_errors_total", "Connects that were turned away, by reason; without an app_id where it is not known whose they were."),
		common(received, metric.IsCounter, "ws_messages_received_total", "Messages of clients, of those that poll too."),
		common(sent, metric.IsCounter, "ws_messages_sent_total", "Copies of the application's events that were handed to clients."),
		common(calls, metric.IsCounter, "http_calls_received_total", "Requests of senders over HTTP; of the Pusher API those that were signed."),
		common(channels, metric.IsGauge, "active_channels", "Channels or rooms with somebody in them, by kind; of Poosh without those of clients' own ids."),
		common(made, metric.IsCounter, "channel_subscriptions_total", "Subscriptions that were made, by the kind of channel."),
		common(left, metric.IsCounter, "channel_unsubscriptions_total", "Subscriptions that ended, by the kind of channel, with those that ended with their connection."),
		common(checks, metric.IsCounter, "rate_limit_checks_total", "Requests that a limit on their rate was asked about, by what is limited and what has a share; there are none of limits that are off."),
		common(limited, metric.IsCounter, "rate_limit_triggered_total", "Requests that were over a limit on their rate."),
	}
	for _, bytes := range []struct {
		metric.Reading
		name, help string
	}{
		{receivedBytes, "socket_received_bytes", "Bytes of the messages of clients, without frames."},
		{sentBytes, "socket_transmitted_bytes", "Bytes of the data of the copies of the application's events that were handed to clients, without frames; sent_bytes_total has what was written."},
		{callBytes, "http_received_bytes", "Bytes of the bodies of senders' requests, as far as they were read."},
		{metric.Reading{Samples: answers}, "http_transmitted_bytes", "Bytes of the bodies of answers, to senders and to clients who poll; without an app_id where it is not known whose they were."},
	} {
		list = append(list, common(bytes.Reading, metric.IsCounter, bytes.name, bytes.help),
			common(bytes.Reading, metric.IsCounter, bytes.name+"_total", bytes.help))
	}
	return list
}

// common completes a reading with the labels that all of the shared ones have.
func common(r metric.Reading, kind metric.Kind, name, help string) metric.Reading {
	r.Kind, r.Name, r.Help = kind, name, help
	r.Labels = append([]string{"app_id", "port"}, r.Labels...)
	return r
}
