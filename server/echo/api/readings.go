package api

import (
	"net/http"

	"poosh/server/metric"
)

// A status is one that the API answers with.
type status uint8

const (
	answer200 status = iota
	answer400
	answer403
	answer408
	answer413
	answer503
	answerOther
	statuses
)

var statusNames = [statuses]string{
	answer200: "200", answer400: "400", answer403: "403", answer408: "408", answer413: "413", answer503: "503", answerOther: "other",
}

func statusOf(code int) status {
	switch code {
	case http.StatusOK:
		return answer200
	case http.StatusBadRequest:
		return answer400
	case http.StatusForbidden:
		return answer403
	case http.StatusRequestTimeout:
		return answer408
	case http.StatusRequestEntityTooLarge:
		return answer413
	case http.StatusServiceUnavailable:
		return answer503
	}
	return answerOther
}

// Readings are the answers that were given, for metrics and the line of SIGUSR1.
func (a *API) Readings() []metric.Reading {
	return []metric.Reading{metric.Counters("echo_api", "echo_api_answers_total", "Answers of the HTTP API, by status.", "status", a.counts.Samples(0, statuses-1, ""))}
}
