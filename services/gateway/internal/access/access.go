// Package access holds what is known about a request while it is answered: its id, who asks and what went wrong. The
// access log, the metrics and problems are made of it.
package access

import (
	"bufio"
	"context"
	"net"
	"net/http"

	"github.com/resonance/resonance/services/gateway/internal/auth"
)

// Record is what is known about a request while it is answered: for the log, the metrics and
// the problems. It is the ResponseWriter too.
type Record struct {
	http.ResponseWriter
	ID     string
	Who    auth.Identity
	Cause  error // of a problem; for the log only
	Status int
	Bytes  int64
	Cut    bool // the answer was cut off on purpose
}

type exchangeKey struct{}

// With gives a context from which exchangeOf gets x.
func With(ctx context.Context, x *Record) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// Of returns the exchange of a request that observe let in, else an empty one.
func Of(ctx context.Context) *Record {
	if x, ok := ctx.Value(exchangeKey{}).(*Record); ok {
		return x
	}
	return &Record{}
}

// WriteHeader notes the status.
func (x *Record) WriteHeader(status int) {
	if x.Status == 0 && status >= http.StatusOK {
		x.Status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (x *Record) Write(p []byte) (int, error) {
	if x.Status == 0 {
		x.Status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.Bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *Record) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Hijack is for WebSockets.
func (x *Record) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	x.Status = http.StatusSwitchingProtocols
	return http.NewResponseController(x.ResponseWriter).Hijack()
}
