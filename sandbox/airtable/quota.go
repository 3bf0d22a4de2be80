package airtabletest

import (
	"sync"
	"time"
)

// Quota is the month's use of the API, which Airtable counts by workspace.
type Quota struct {
	Limit int    `json:"limit"` // none if 0
	Used  int    `json:"used"`
	Month string `json:"month"` // as 2026-11, in UTC
}

// meter counts requests against the quota. Those for metadata count too, but
// are reported to go on being answered once a workspace's month is used up.
type meter struct {
	mu sync.Mutex
	q  Quota
}

// turn begins a new month if it is time. The caller holds m.mu.
func (m *meter) turn(now time.Time) {
	if month := now.UTC().Format("2006-01"); month != m.q.Month {
		m.q.Month, m.q.Used = month, 0
	}
}

// allow counts a request, unless the month is used up.
func (s *Server) allow(k Kind) bool {
	m := &s.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(s.now())
	if k != Meta && m.q.Limit > 0 && m.q.Used >= m.q.Limit {
		return false
	}
	m.q.Used++
	s.keep(&entry{Quota: &m.q})
	return true
}

// Quota returns the month's limit and what is used of it.
func (s *Server) Quota() Quota {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	s.meter.turn(s.now())
	return s.meter.q
}

// SetQuota sets the month's limit, none if 0, and what is used of it.
func (s *Server) SetQuota(limit, used int) {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	s.meter.turn(s.now())
	s.meter.q.Limit, s.meter.q.Used = limit, used
	s.keep(&entry{Quota: &s.meter.q})
}
