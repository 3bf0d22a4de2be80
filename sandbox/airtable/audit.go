package airtabletest

import (
	"sync"
	"time"
)

// WriteRequest is one request to the API that changed records, or would have,
// had the values been other ones. Requests that were refused are not among them.
type WriteRequest struct {
	// Number counts the requests, from 1 in the order they took effect.
	Number int       `json:"number"`
	Time   time.Time `json:"time"`
	// Kind is create, update, replace, upsert or delete.
	Kind    string          `json:"kind"`
	Table   string          `json:"table"` // its id
	Records []WrittenRecord `json:"records"`
	// Hidden names the fault that kept the answer from the client.
	Hidden Effect `json:"hidden,omitempty"`
}

// WrittenRecord is what a request asked of one record.
type WrittenRecord struct {
	ID string `json:"id"`
	// Fields are the cells as they were sent; nil in a delete.
	Fields  Fields `json:"fields,omitempty"`
	Created bool   `json:"created,omitempty"`
}

// maxWrites bounds how many requests the audit remembers; the oldest go first.
const maxWrites = 100_000

// audit remembers the writes. It is bounded and not kept in Config.File.
type audit struct {
	mu    sync.Mutex
	count int
	list  []WriteRequest
}

func (a *audit) add(w WriteRequest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count++
	w.Number = a.count
	if len(a.list) >= maxWrites {
		a.list = a.list[1:]
	}
	a.list = append(a.list, w)
}

// Writes returns the requests that changed records, in the order they took
// effect, that came after the one with the given number; all if that is 0.
func (s *Server) Writes(after int) []WriteRequest {
	s.audit.mu.Lock()
	defer s.audit.mu.Unlock()
	first := s.audit.count - len(s.audit.list)
	return append([]WriteRequest(nil), s.audit.list[min(max(after-first, 0), len(s.audit.list)):]...)
}
