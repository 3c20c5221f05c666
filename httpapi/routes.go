package httpapi

import (
	_ "embed" // the document
	"net/http"

	"github.com/skaldhq/skald/access"
)

// route is one thing that can be asked for. Whatever it reads and answers is in the OpenAPI document; a test compares.
type route struct {
	method, path string
	operation    string      // its name in the document
	query        []string    // parameters that it knows
	open         bool        // answers whoever asks
	role         access.Role // the least that it takes, if it is not open; without one it answers nobody
	preview      preview     // of a change that can be looked at before; nil if it cannot
	serve        func(h *Handler, w http.ResponseWriter, r *http.Request) error
}

// filters are the parameters that select sagas.
func filters() []string {
	return []string{"id", "definition", "version", "key", "mode", "state", "unended", "incident", "step", "reason", "incident_reason", "started_before", "started_after", "order", "cursor", "limit"}
}

// preview reads so much of a request as says whether it only looks at what a change would do. It returns the request with what it read, which its handler goes by: so the two cannot
// take it differently.
type preview func(w http.ResponseWriter, r *http.Request) (read *http.Request, only bool)

// routes are all there are. What is no GET, and no preview, is written to the audit log.
func routes() []route {
	const get, post, put, remove = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	return []route{
		{method: get, path: "/v1/definitions", operation: "listDefinitions", role: access.Reader, serve: (*Handler).listDefinitions},
		{method: post, path: "/v1/definitions", operation: "registerDefinition", role: access.Admin, query: []string{"dry_run"}, preview: previewQuery, serve: (*Handler).define},
		{method: get, path: "/v1/definitions/{name}", operation: "getDefinition", role: access.Reader, query: []string{"version"}, serve: (*Handler).getDefinition},
		{method: get, path: "/v1/definitions/{name}/asyncapi", operation: "getAsyncAPI", role: access.Reader, query: []string{"version"}, serve: (*Handler).getAsyncAPI},
		{method: post, path: "/v1/definitions/{name}/sagas", operation: "startSaga", role: access.Operator, query: []string{"version", "key", "mode", "webhook"}, serve: (*Handler).start},

		{method: get, path: "/v1/sagas", operation: "listSagas", role: access.Reader, query: filters(), serve: (*Handler).listSagas},
		{method: get, path: "/v1/sagas/{id}", operation: "getSaga", role: access.Reader, serve: (*Handler).getSaga},
		{method: get, path: "/v1/sagas/{id}/events", operation: "listEvents", role: access.Reader, query: []string{"after", "limit"}, serve: (*Handler).listEvents},
		{method: get, path: "/v1/sagas/{id}/watch", operation: "watchSaga", role: access.Reader, query: []string{"after"}, serve: (*Handler).watch},
		{method: post, path: "/v1/sagas/{id}/cancel", operation: "cancelSaga", role: access.Operator, serve: (*Handler).cancel},
		{method: post, path: "/v1/sagas/{id}/resolve", operation: "resolveIncident", role: access.Operator, serve: (*Handler).resolve},
		{method: post, path: "/v1/bulk", operation: "actOnMany", role: access.Operator, preview: previewBulk, serve: (*Handler).bulk},

		{method: get, path: "/v1/dead-letters", operation: "listDeadLetters", role: access.Reader, query: []string{"state", "topic", "subscription", "reason", "saga", "cursor", "limit"}, serve: (*Handler).listLetters},
		{method: get, path: "/v1/dead-letters/{id}", operation: "getDeadLetter", role: access.Reader, serve: (*Handler).getLetter},
		{method: post, path: "/v1/dead-letters/{id}/replay", operation: "replayDeadLetter", role: access.Operator, query: []string{"dry_run"}, preview: previewQuery, serve: (*Handler).replayLetter},
		{method: post, path: "/v1/dead-letters/{id}/compensate", operation: "compensateDeadLetter", role: access.Operator, serve: (*Handler).compensateLetter},
		{method: post, path: "/v1/dead-letters/{id}/discard", operation: "discardDeadLetter", role: access.Operator, serve: (*Handler).discardLetter},

		{method: get, path: "/v1/participants", operation: "listParticipants", role: access.Reader, serve: (*Handler).listParticipants},
		{method: get, path: "/v1/participants/{name}", operation: "getParticipant", role: access.Reader, serve: (*Handler).getParticipant},
		{method: put, path: "/v1/participants/{name}", operation: "enterParticipant", role: access.Admin, serve: (*Handler).enterParticipant},
		{method: remove, path: "/v1/participants/{name}", operation: "removeParticipant", role: access.Admin, serve: (*Handler).removeParticipant},
		{method: get, path: "/v1/statistics", operation: "getStatistics", role: access.Reader, serve: (*Handler).getStatistics},
		{method: get, path: "/v1/activity", operation: "getActivity", role: access.Reader, query: []string{"definition"}, serve: (*Handler).getActivity},

		{method: get, path: "/v1/webhooks", operation: "listWebhooks", role: access.Reader, serve: (*Handler).listWebhooks},
		{method: get, path: "/v1/webhooks/{name}", operation: "getWebhook", role: access.Reader, serve: (*Handler).getWebhook},
		{method: put, path: "/v1/webhooks/{name}", operation: "enterWebhook", role: access.Admin, serve: (*Handler).enterWebhook},
		{method: remove, path: "/v1/webhooks/{name}", operation: "removeWebhook", role: access.Admin, serve: (*Handler).removeWebhook},
		{method: post, path: "/v1/webhooks/{name}/rotate", operation: "rotateWebhook", role: access.Admin, serve: (*Handler).rotateWebhook},
		{method: post, path: "/v1/webhooks/{name}/retry", operation: "retryDeliveries", role: access.Operator, serve: (*Handler).retryDeliveries},
		{method: get, path: "/v1/deliveries", operation: "listDeliveries", role: access.Reader, query: []string{"webhook", "saga", "state", "cursor", "limit"}, serve: (*Handler).listDeliveries},
		{method: get, path: "/v1/deliveries/{id}", operation: "getDelivery", role: access.Reader, serve: (*Handler).getDelivery},
		{method: post, path: "/v1/deliveries/{id}/retry", operation: "retryDelivery", role: access.Operator, serve: (*Handler).retryDelivery},

		{method: get, path: "/v1/session", operation: "getSession", role: access.Reader, serve: (*Handler).getSession},
		{method: post, path: "/v1/session", operation: "openSession", open: true, serve: (*Handler).openSession},
		{method: remove, path: "/v1/session", operation: "closeSession", role: access.Reader, serve: (*Handler).closeSession},
		{method: get, path: "/v1/keys", operation: "listKeys", role: access.Admin, serve: (*Handler).listKeys},
		{method: post, path: "/v1/keys", operation: "createKey", role: access.Admin, serve: (*Handler).createKey},
		{method: post, path: "/v1/keys/{id}/rotate", operation: "rotateKey", role: access.Admin, serve: (*Handler).rotateKey},
		{method: post, path: "/v1/keys/{id}/revoke", operation: "revokeKey", role: access.Admin, serve: (*Handler).revokeKey},
		{method: get, path: "/v1/audit", operation: "listChanges", role: access.Operator, query: []string{"who", "what", "target", "since", "before", "below", "limit"}, serve: (*Handler).listChanges},

		{method: get, path: "/v1/openapi.json", operation: "getDocument", role: access.Reader, serve: (*Handler).getDocument},
		{method: get, path: "/livez", operation: "live", open: true, serve: (*Handler).live},
		{method: get, path: "/readyz", operation: "ready", role: access.Reader, serve: (*Handler).ready},
	}
}

//go:generate go test -vet=off -run ^TestTheDocumentSaysWhatIsServed$ -update .

//go:embed openapi.json
var document []byte

// getDocument serves the OpenAPI document.
func (h *Handler) getDocument(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(document)
	return nil
}
