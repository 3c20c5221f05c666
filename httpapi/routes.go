package httpapi

import (
	_ "embed" // the document
	"net/http"
)

// route is one thing that can be asked for. Whatever it reads and answers is in the OpenAPI document; a test compares.
type route struct {
	method, path string
	operation    string   // its name in the document
	query        []string // parameters that it knows
	open         bool     // answers whoever asks
	serve        func(h *Handler, w http.ResponseWriter, r *http.Request) error
}

// filters are the parameters that select sagas.
func filters() []string {
	return []string{"id", "definition", "version", "key", "mode", "state", "unended", "incident", "step", "reason", "incident_reason", "started_before", "started_after", "order", "cursor", "limit"}
}

// routes are all there are.
func routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{method: get, path: "/v1/definitions", operation: "listDefinitions", serve: (*Handler).listDefinitions},
		{method: get, path: "/v1/definitions/{name}", operation: "getDefinition", query: []string{"version"}, serve: (*Handler).getDefinition},
		{method: post, path: "/v1/definitions/{name}/sagas", operation: "startSaga", query: []string{"version", "key", "mode"}, serve: (*Handler).start},

		{method: get, path: "/v1/sagas", operation: "listSagas", query: filters(), serve: (*Handler).listSagas},
		{method: get, path: "/v1/sagas/{id}", operation: "getSaga", serve: (*Handler).getSaga},
		{method: get, path: "/v1/sagas/{id}/events", operation: "listEvents", query: []string{"after", "limit"}, serve: (*Handler).listEvents},
		{method: get, path: "/v1/sagas/{id}/watch", operation: "watchSaga", query: []string{"after"}, serve: (*Handler).watch},
		{method: post, path: "/v1/sagas/{id}/cancel", operation: "cancelSaga", serve: (*Handler).cancel},
		{method: post, path: "/v1/sagas/{id}/resolve", operation: "resolveIncident", serve: (*Handler).resolve},
		{method: post, path: "/v1/bulk", operation: "actOnMany", serve: (*Handler).bulk},

		{method: get, path: "/v1/dead-letters", operation: "listDeadLetters", query: []string{"state", "topic", "subscription", "reason", "saga", "cursor", "limit"}, serve: (*Handler).listLetters},
		{method: get, path: "/v1/dead-letters/{id}", operation: "getDeadLetter", serve: (*Handler).getLetter},
		{method: post, path: "/v1/dead-letters/{id}/replay", operation: "replayDeadLetter", serve: (*Handler).replayLetter},
		{method: post, path: "/v1/dead-letters/{id}/compensate", operation: "compensateDeadLetter", serve: (*Handler).compensateLetter},
		{method: post, path: "/v1/dead-letters/{id}/discard", operation: "discardDeadLetter", serve: (*Handler).discardLetter},

		{method: get, path: "/v1/participants", operation: "listParticipants", serve: (*Handler).listParticipants},
		{method: get, path: "/v1/statistics", operation: "getStatistics", serve: (*Handler).getStatistics},
		{method: get, path: "/v1/activity", operation: "getActivity", query: []string{"definition"}, serve: (*Handler).getActivity},
		{method: get, path: "/v1/openapi.json", operation: "getDocument", serve: (*Handler).getDocument},
		{method: get, path: "/livez", operation: "live", open: true, serve: (*Handler).live},
		{method: get, path: "/readyz", operation: "ready", serve: (*Handler).ready},
	}
}

//go:generate go test -run ^TestTheDocumentSaysWhatIsServed$ -update .

//go:embed openapi.json
var document []byte

// getDocument serves the OpenAPI document.
func (h *Handler) getDocument(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document)
	return nil
}
