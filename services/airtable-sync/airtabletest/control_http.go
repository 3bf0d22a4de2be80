package airtabletest

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"time"
)

// controlPath is where programs on this machine, such as end-to-end tests,
// reach what tests in Go do by method. It takes the API's token:
//
//	GET    /_sandbox/calls      Calls as JSON
//	POST   /_sandbox/faults     a Fault as JSON, with retry_after in seconds
//	DELETE /_sandbox/faults     Heal
//	DELETE /_sandbox/iterators  ExpireIterators
const controlPath = "/_sandbox/"

func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		errorReply(errNotFound).write(w)
		return
	}
	if !s.authorized(r) {
		errorReply(errAuthentication).write(w)
		return
	}
	done := jsonReply(http.StatusOK, []byte("{}"))
	switch r.Method + " " + r.URL.Path[len(controlPath):] {
	case "GET calls":
		done.body = mustJSON(s.Calls())
	case "POST faults":
		var f struct {
			Fault
			Seconds int `json:"retry_after"`
		}
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil || !slices.Contains(effects, f.Do) {
			done = errorReply(invalidRequest("A fault is {on, do, times, after, probability, retry_after, applied}, and do is one of %v", effects))
			break
		}
		f.RetryAfter = time.Duration(f.Seconds) * time.Second
		s.Fail(f.Fault)
	case "DELETE faults":
		s.Heal()
	case "DELETE iterators":
		s.ExpireIterators()
	default:
		done = errorReply(errNotFound)
	}
	done.write(w)
}
