package odootest

import (
	"sync"
	"time"
)

// logins counts wrong passwords as Odoo does, by the address they come from: here there is one. After some in a row
// every password is refused for a minute, the right one too.
type logins struct {
	mu       sync.Mutex
	failures int
	last     time.Time
}

const cooldown = time.Minute

func (l *logins) cooling(cfg Config) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := 5
	if cfg.Version <= 15 {
		limit = 10
	}
	return l.failures >= limit && cfg.Now().Sub(l.last) < cooldown
}

func (l *logins) fail(cfg Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	l.last = cfg.Now()
}

func (l *logins) succeed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = 0
}

// LockLogins makes it refuse every password for a minute, as after many wrong ones.
func (s *Server) LockLogins() {
	for range 10 {
		s.logins.fail(s.cfg)
	}
}
