// Package console is the operators' console: pages, built and embedded, that find a saga, show how far it is and why, and mend it. They work over the HTTP API of package httpapi, which has to be served
// under /v1 on the same origin, and do nothing that the API does not offer. It keeps nothing and decides nothing: who may do what is the API's to say.
//
// The pages run under a Content-Security-Policy that knows files of their own origin only, and no text of theirs becomes markup (Trusted Types).
package console
