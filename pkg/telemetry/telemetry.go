// Package telemetry is what a service shows of itself: structured logs, Prometheus metrics on the
// default registry, and W3C trace context passed along.
package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// NewLogger writes to w, as JSON or as text, from Debug or from Info up.
func NewLogger(w io.Writer, json, debug bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if debug {
		opts.Level = slog.LevelDebug
	}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if json {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(traceHandler{h})
}

// traceHandler adds the trace id of the context to each line.
type traceHandler struct{ slog.Handler }

func (h traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(attrs)}
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}

var (
	propagator = propagation.TraceContext{}
	tracer     = otel.Tracer("github.com/resonance/resonance")
)

// StartSpan continues the trace that from carries. The returned function ends the span.
func StartSpan(ctx context.Context, name string, from propagation.TextMapCarrier) (context.Context, func(error)) {
	ctx, span := tracer.Start(propagator.Extract(ctx, from), name) //nolint:spancheck // the returned function ends it
	return ctx, func(err error) {                                  //nolint:spancheck // as above
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// Inject writes the trace context of ctx, if any, into to.
func Inject(ctx context.Context, to propagation.TextMapCarrier) { propagator.Inject(ctx, to) }
