package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/resonance/resonance/services/gateway/internal/route"
)

// The client is the last in X-Forwarded-For that is no trusted proxy; whoever is none is not believed.
func TestBehindProxies(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		remote, want string
		forwarded    []string
	}{
		{"192.0.2.9:5000", "192.0.2.9", []string{"198.51.100.1"}},
		{"10.0.0.1:5000", "10.0.0.1", nil},
		{"10.0.0.1:5000", "10.0.0.1", []string{"unknown"}},
		{"10.0.0.1:5000", "198.51.100.1", []string{"198.51.100.1"}},
		{"10.0.0.1:5000", "198.51.100.1", []string{"203.0.113.5, 198.51.100.1, 10.0.0.2"}},
		{"10.0.0.1:5000", "198.51.100.1", []string{"203.0.113.5, 198.51.100.1", "10.0.0.2"}},
		{"10.0.0.1:5000", "10.0.0.2", []string{"203.0.113.5, nonsense, 10.0.0.2"}},
		{"[::ffff:10.0.0.1]:5000", "2001:db8::1", []string{"2001:db8::1, fd00::7"}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.remote, c.forwarded
		behind(proxies)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if got := route.ClientIP(r); got != c.want {
				t.Errorf("%s for %q is %s, want %s", c.remote, c.forwarded, got, c.want)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}
