package auth

import (
	"math"
	"net/netip"
	"sync"
	"time"
)

// Brake slows down guessing. Each key has a bucket of attempts that refills with time; an attempt
// takes one before the password is looked at, and gets it back when it was right. So parallel
// guesses are counted too, and people who know their password never wait.
type Brake struct {
	now     func() time.Time
	burst   float64
	refill  time.Duration // for one attempt
	maxKeys int

	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// NewBrake makes a brake that lets a key have burst attempts, and one more after each refill.
func NewBrake(now func() time.Time, burst int, refill time.Duration) *Brake {
	return &Brake{now: now, burst: float64(burst), refill: refill, maxKeys: 10_000, buckets: map[string]*bucket{}}
}

// Take counts an attempt, or says how long to wait for the next.
func (b *Brake) Take(key string) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	k, ok := b.buckets[key]
	if !ok {
		if len(b.buckets) >= b.maxKeys {
			b.forget(now)
		}
		k = &bucket{tokens: b.burst, at: now}
		b.buckets[key] = k
	}
	k.tokens = min(b.burst, k.tokens+float64(now.Sub(k.at))/float64(b.refill))
	k.at = now
	if k.tokens < 1 {
		return time.Duration(math.Ceil((1 - k.tokens) * float64(b.refill)))
	}
	k.tokens--
	return 0
}

// GiveBack takes an attempt back.
func (b *Brake) GiveBack(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k, ok := b.buckets[key]; ok {
		k.tokens = min(b.burst, k.tokens+1)
	}
}

// forget makes room: first those who are at rest, and if there are none, anybody.
func (b *Brake) forget(now time.Time) {
	for key, k := range b.buckets {
		if k.tokens+float64(now.Sub(k.at))/float64(b.refill) >= b.burst {
			delete(b.buckets, key)
		}
	}
	for key := range b.buckets {
		if len(b.buckets) < b.maxKeys {
			return
		}
		delete(b.buckets, key)
	}
}

// Network is the address a client is counted by: an IPv6 client has a whole /64.
func Network(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		p, _ := ip.Prefix(64) // 64 fits every IPv6 address
		return p.String()
	}
	return ip.String()
}
