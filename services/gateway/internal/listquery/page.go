package listquery

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/resonance/resonance/pkg/bus"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/access"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// pieceWait is how long a client may take for a piece of a page.
const pieceWait = 30 * time.Second

// Present gives rows of a service's as clients see them, and reports whether they depend on the language.
type Present func(lang string, data []byte) (_ []byte, localised bool, _ error)

// WritePage writes a JSON array that a service sent, bare or in an envelope, as it came. A page that is larger than a
// NATS message comes in pieces, each of which tells how many rows are left; next fetches the one after it.
func WritePage(w http.ResponseWriter, r *http.Request, reply bus.Reply, l Listing, present Present, next func(last bus.Reply, rest int) (bus.Reply, error)) error {
	totals := reply.Header[rpc.HeaderTotal]
	if len(totals) != 1 || !isArray(reply.Data) {
		return fault.Wrap(fault.Internal, problem.ErrInternal, fmt.Errorf("the reply to a list has no array or no %s", rpc.HeaderTotal))
	}
	total, err := strconv.Atoi(totals[0])
	if err != nil {
		return fault.Wrap(fault.Internal, problem.ErrInternal, err)
	}
	data, localised, err := present(problem.Language(r.Header.Get("Accept-Language")), reply.Data)
	if err != nil {
		return err
	}
	if localised {
		w.Header().Add("Vary", "Accept-Language")
	}
	w.Header()["X-Total-Count"] = totals
	var head, tail []byte
	if !l.Bare {
		head, tail = envelope, l.tail(total)
	}
	if reply.Header[ordersapi.HeaderRest] == nil {
		route.WriteJSON(w, r, route.WeakETag(data, totals[0]), head, data, tail)
		return nil
	}
	streamPage(w, r, reply, present, next, head, data, tail)
	return nil
}

// streamPage writes a page piece after piece, so that no more than one of them is in memory. Once it has begun, only
// cutting the connection tells that something failed. It has no tag: that would follow from all pieces.
func streamPage(w http.ResponseWriter, r *http.Request, reply bus.Reply, present Present, next func(bus.Reply, int) (bus.Reply, error), head, data, tail []byte) {
	fail := func(err error) {
		access.Of(r.Context()).Cause = fmt.Errorf("page cut off: %w", err)
		panic(http.ErrAbortHandler)
	}
	w.Header()["Content-Type"] = route.JSONType
	w.Header().Set("Vary", "Accept-Language") // a later piece may have texts
	control := http.NewResponseController(w)
	_, _ = w.Write(head) // what fails here fails again below
	for {
		_ = control.SetWriteDeadline(time.Now().Add(pieceWait)) // not supported: no deadline
		if _, err := w.Write(data[:len(data)-1]); err != nil {
			panic(http.ErrAbortHandler) // the client has gone
		}
		rest, _ := strconv.Atoi(reply.Header.Get(ordersapi.HeaderRest)) // absent: 0
		if rest <= 0 {
			break
		}
		var err error
		if reply, err = next(reply, rest); err != nil {
			fail(err)
		}
		if !isArray(reply.Data) {
			fail(errors.New("a piece of the page is no array"))
		}
		if data, _, err = present(problem.Language(r.Header.Get("Accept-Language")), reply.Data); err != nil {
			fail(err)
		}
		if len(data) == 2 { // what was left has gone
			break
		}
		data[0] = ','
	}
	_, _ = w.Write([]byte{']'}) // a client that has gone is noticed by the server
	_, _ = w.Write(tail)
}

// tail is what an envelope has after the page.
func (l *Listing) tail(total int) []byte {
	tail := make([]byte, 0, 80)
	tail = strconv.AppendInt(append(tail, `,"total":`...), int64(total), 10)
	tail = strconv.AppendInt(append(tail, `,"page":`...), int64(l.Page), 10)
	tail = strconv.AppendInt(append(append(append(tail, `,"`...), l.Size...), `":`...), int64(l.Limit), 10)
	tail = strconv.AppendInt(append(tail, `,"pages":`...), int64((total+l.Limit-1)/l.Limit), 10)
	return append(tail, '}')
}

func isArray(data []byte) bool { return len(data) >= 2 && data[0] == '[' && data[len(data)-1] == ']' }

var envelope = []byte(`{"data":`)
