package passing

import "poosh/server/metric"

// A result is what became of a request for a session of another node.
type result uint8

const (
	passedAnswered  result = iota // with what the other node said
	passedUpgraded                // a WebSocket is carried
	passedUnknown                 // no such node
	passedAbandoned               // the client went before there was an answer
	passedFull                    // too much waits for the other node
	passedUnfit                   // has no form between nodes
	passedFailed                  // the other node is out of reach, or went meanwhile
)

var resultNames = []string{"answered", "upgraded", "unknown", "abandoned", "full", "unfit", "failed"}

// A refusal is why somebody who came to the nodes' listener was turned away.
type refusal uint8

const (
	refusedRequest   refusal = iota // not a request of a node's, or it did not arrive in time
	refusedSignature                // not made with the cluster's secret
	refusedTarget                   // for another node
	refusedTime                     // too old, or from the future
	refusedReplay                   // came before
	refusedPort                     // no such port here
	refusedBusy                     // too many at once
	refusedFull                     // more processes than can be the cluster's have said hello
	refusedFrame                    // what came on a link was not what the other node sent
)

var refusalNames = []string{"request", "signature", "target", "time", "replay", "port", "busy", "full", "frame"}

// counts are of a node's life.
type counts struct {
	passed  *metric.Set[result]
	refused *metric.Set[refusal]
	served  *metric.Set[served]
}

// A served is what others passed on to this node.
type served uint8

const (
	servedRequest served = iota
	servedWebSocket
	servedQuestion // of operators
)

func (c *counts) init() {
	c.passed = metric.Closed[result](resultNames)
	c.refused = metric.Closed[refusal](refusalNames)
	c.served = metric.Closed[served]([]string{"polling", "websocket", "question"})
}

func (c *counts) readings(waiting, pipes int) []metric.Reading {
	return []metric.Reading{
		metric.Counters("passed", "cluster_passed_requests_total", "Requests for sessions of other nodes, and questions of operators to them, by what became of them: answered, upgraded to a WebSocket, unknown for that node is not there, abandoned by the client, full since too much waits for that node, unfit since it has more than 100 header lines or no path, or failed since it is out of reach.", "outcome",
			c.passed.Samples(passedAnswered, passedFailed, "")),
		metric.Counters("passed_refused", "cluster_passed_refused_total", "What came to the nodes' own port and was refused, by reason.", "reason",
			c.refused.Samples(refusedRequest, refusedFrame, "")),
		metric.Counters("passed_here", "cluster_passed_here_total", "Requests and WebSockets that other nodes have passed on to this one, and questions of their operators.", "transport",
			c.served.Samples(servedRequest, servedQuestion, "")),
		metric.Gauge("passed_waiting", "cluster_passed_waiting", "Requests, and questions of operators, that wait for an answer of another node.", waiting),
		metric.Gauge("passed_websockets", "cluster_passed_websockets", "WebSockets that are carried to other nodes.", pipes),
	}
}
