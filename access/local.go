package access

import (
	"net"
	"net/http"
	"strings"
)

// Local passes on requests for a name or number of this machine's loopback, and answers others with 421. It is for programs that ask nobody who they are: a page of the internet whose name was made to stand for this machine must
// not read or change what is here.
func Local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil { // no port
			host = strings.TrimSuffix(strings.TrimPrefix(r.Host, "["), "]")
		}
		if !ThisMachine(host) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusMisdirectedRequest)
			_, _ = w.Write([]byte(`{"type":"urn:skald:problem:misdirected","title":"Not asked for by its name","status":421,"detail":"Without access control this program serves 127.0.0.1 and localhost only: ask for it under one of these names."}` + "\n"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Require passes on requests of who has a role in all namespaces, and answers others with 401 or 403: for what is served beside the API, such as metrics.
func (d *Door) Require(role Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := d.Identify(r)
		switch {
		case err != nil:
			w.Header().Set("WWW-Authenticate", `Bearer realm="skald"`)
			http.Error(w, errMissing.Error(), http.StatusUnauthorized)
		case who.Role < role || who.Namespace != Everywhere:
			http.Error(w, "it takes the role "+role.String()+" in all namespaces", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
