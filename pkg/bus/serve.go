package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"golang.org/x/time/rate"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/telemetry"
)

// HeaderTimeout carries how long the asker waits, in milliseconds: relative, so that clocks need
// not agree.
const HeaderTimeout = "Request-Timeout-Ms"

// Reply is what a Handler answers.
type Reply struct {
	Header nats.Header
	Data   []byte
}

// Handler answers one request. The error is sent as a fault.Error; anything else becomes Internal
// and its text stays here (invariant 9).
type Handler func(ctx context.Context, data []byte) (Reply, error)

// Service describes a NATS micro service.
type Service struct {
	Name        string // also the queue group: any number of instances share the requests
	Description string
	Version     string             // SemVer
	Endpoints   map[string]Handler // by subject
	Workers     int                // requests handled at once; more wait, up to eight times as many
	Timeout     time.Duration      // the longest a handler may take
}

// Server is a running Service.
type Server struct {
	nc       *nats.Conn
	log      *slog.Logger
	longest  time.Duration
	away     rate.Sometimes // logs of requests that what is away made fail
	service  micro.Service
	jobs     chan job
	stopping chan struct{} // closed when no more jobs come
	workers  sync.WaitGroup
	cancel   context.CancelFunc
}

type job struct {
	req     micro.Request
	handler Handler
	arrived time.Time
}

// Serve starts s on nc and returns when requests can be sent. micro runs the handlers of an
// endpoint one after another, so each request goes to a bounded pool; when that is full the asker
// is told so at once.
func Serve(nc *nats.Conn, log *slog.Logger, s Service) (*Server, error) {
	svc, err := micro.AddService(nc, micro.Config{
		Name: s.Name, Version: s.Version, Description: s.Description, QueueGroup: s.Name,
	})
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv := &Server{
		nc: nc, log: log, longest: s.Timeout, away: rate.Sometimes{Interval: 10 * time.Second},
		service: svc, jobs: make(chan job, 8*s.Workers), stopping: make(chan struct{}), cancel: cancel,
	}
	for range s.Workers {
		srv.workers.Go(func() {
			for j := range srv.next {
				srv.handle(ctx, j)
			}
		})
	}
	for subject, h := range s.Endpoints {
		err := svc.AddEndpoint(endpointName(subject), micro.HandlerFunc(func(r micro.Request) {
			select {
			case srv.jobs <- job{req: r, handler: h, arrived: time.Now()}:
			default:
				srv.respondError(r, fault.Away(s.Name, errors.New("too many requests at once")))
			}
		}), micro.WithEndpointSubject(subject))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("serve %s: %w", subject, err), srv.abandon())
		}
	}
	// Without the flush a first request could meet no responders.
	if err := nc.FlushTimeout(5 * time.Second); err != nil {
		return nil, errors.Join(fmt.Errorf("serve %s: %w", s.Name, err), srv.abandon())
	}
	return srv, nil
}

// Stop takes no more requests, answers those it has, and returns when they are answered or ctx
// ends, when their contexts are cancelled. It is called once.
func (s *Server) Stop(ctx context.Context) error {
	err := s.service.Stop()
	s.settle(ctx)
	close(s.stopping)
	defer context.AfterFunc(ctx, s.cancel)()
	s.workers.Wait()
	s.cancel()
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil
	}
	return err
}

// settle returns when every request that reached this process is among the jobs, or ctx ends: micro
// only begins to drain its subscriptions, and does not tell when they are empty.
func (s *Server) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if !s.nc.IsConnected() || s.nc.FlushWithContext(ctx) != nil {
		return // nothing comes, and no answer could leave
	}
	delivered := make(chan struct{})
	if s.nc.Barrier(func() { close(delivered) }) == nil {
		select {
		case <-delivered:
		case <-ctx.Done():
		}
	}
}

// abandon ends a server that did not start.
func (s *Server) abandon() error {
	s.cancel()
	close(s.stopping)
	return s.service.Stop()
}

// next yields jobs until the server stops and none is left.
func (s *Server) next(yield func(job) bool) {
	for {
		select {
		case j := <-s.jobs:
			if !yield(j) {
				return
			}
			continue
		case <-s.stopping:
		}
		select {
		case j := <-s.jobs:
			if !yield(j) {
				return
			}
		default:
			return
		}
	}
}

func (s *Server) handle(ctx context.Context, j job) {
	longest := s.longest
	ms, err := strconv.ParseInt(j.req.Headers().Get(HeaderTimeout), 10, 64)
	if err == nil && ms > 0 && ms < longest.Milliseconds() {
		longest = time.Duration(ms) * time.Millisecond
	}
	ctx, cancel := context.WithDeadline(ctx, j.arrived.Add(longest))
	defer cancel()
	if err := ctx.Err(); err != nil { // while it waited for a worker
		s.respondError(j.req, fault.From(err))
		return
	}
	ctx, end := telemetry.StartSpan(ctx, "serve "+j.req.Subject(), HeaderCarrier(j.req.Headers()))
	reply, err := call(ctx, j)
	end(err)
	if err != nil {
		f := fault.From(err)
		failed := func() {
			s.log.ErrorContext(ctx, "request failed", "subject", j.req.Subject(), "code", int(f.Code), "error", err)
		}
		if f.Code == fault.Internal {
			failed()
		}
		if f.Code == fault.Unavailable { // as every request is until what is away comes back
			s.away.Do(failed)
		}
		s.respondError(j.req, f)
		return
	}
	err = respond(s.nc, j.req, reply)
	if errors.Is(err, nats.ErrMaxPayload) {
		s.respondError(j.req, fault.Wrap(fault.TooLarge,
			fault.T("La respuesta es demasiado grande; pida menos a la vez", "The answer is too large; ask for less at once"), err))
	} else if err != nil {
		s.log.Warn("reply not sent", "subject", j.req.Subject(), "error", err)
	}
}

// call turns a panic into an Internal error: one bad request must not take the others down.
func call(ctx context.Context, j job) (reply Reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return j.handler(ctx, j.req.Data())
}

func (s *Server) respondError(r micro.Request, f *fault.Error) {
	code, body := f.Encode()
	header := nats.Header{micro.ErrorCodeHeader: {code}, micro.ErrorHeader: {f.Detail.EN}}
	if err := respond(s.nc, r, Reply{Header: header, Data: body}); err != nil {
		s.log.Warn("reply not sent", "subject", r.Subject(), "error", err)
	}
}

// respond is there because the methods of micro.Request are only for the goroutine that micro
// called (they race with its statistics), and hide the cause of an error.
func respond(nc *nats.Conn, r micro.Request, reply Reply) error {
	return nc.PublishMsg(&nats.Msg{Subject: r.Reply(), Header: reply.Header, Data: reply.Data})
}

// endpointName is the last token of a subject, as micro wants a name without dots.
func endpointName(subject string) string {
	for i := len(subject) - 1; i >= 0; i-- {
		if subject[i] == '.' {
			return subject[i+1:]
		}
	}
	return subject
}
