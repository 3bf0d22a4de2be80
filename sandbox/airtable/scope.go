package airtabletest

import "slices"

// Scope is a permission of the token, by Airtable's name.
type Scope string

// The scopes that the sandbox asks for. All are granted unless [Config] or
// [Server.Revoke] says otherwise.
const (
	RecordsRead    Scope = "data.records:read"
	RecordsWrite   Scope = "data.records:write"
	SchemaRead     Scope = "schema.bases:read"
	SchemaWrite    Scope = "schema.bases:write"
	CommentsRead   Scope = "data.recordComments:read"
	CommentsWrite  Scope = "data.recordComments:write"
	WebhooksManage Scope = "webhook:manage"
)

var scopes = []Scope{RecordsRead, RecordsWrite, SchemaRead, SchemaWrite, CommentsRead, CommentsWrite, WebhooksManage}

// Revoke takes scopes from the token: what needs one is a 403
// INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND from now on.
func (s *Server) Revoke(list ...Scope) {
	s.scopeMu.Lock()
	defer s.scopeMu.Unlock()
	s.revoked = append(s.revoked, list...)
}

// Grant gives scopes back.
func (s *Server) Grant(list ...Scope) {
	s.scopeMu.Lock()
	defer s.scopeMu.Unlock()
	s.revoked = slices.DeleteFunc(s.revoked, func(r Scope) bool { return slices.Contains(list, r) })
}

func (s *Server) may(need Scope) bool {
	s.scopeMu.RLock()
	defer s.scopeMu.RUnlock()
	return !slices.Contains(s.revoked, need)
}

// scope is what a request needs; "" if nothing.
func (r *request) scope() Scope {
	switch r.kind {
	case Comments:
		if r.writes {
			return CommentsWrite
		}
		return CommentsRead
	case List, Get:
		return RecordsRead
	case Write:
		return RecordsWrite
	case Webhooks, Payloads:
		return WebhooksManage
	default: // the metadata endpoints ask themselves
		return ""
	}
}
