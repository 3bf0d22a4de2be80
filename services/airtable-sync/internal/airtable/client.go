// Package airtable is a client of Airtable's Web API for one table: it paces calls, waits out
// refusals, and tells apart what may be tried again from what may not.
package airtable

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of Airtable's Web API, from its documentation.
const (
	PageSize = 100 // records a page at most

	defaultPenalty = 30 * time.Second // of silence after a 429 that names no Retry-After
	callTimeout    = 30 * time.Second // of an attempt, unless Config.Timeout says otherwise
	maxBody        = 64 << 20         // of an answer, unless Config.MaxBody says otherwise
	attempts       = 6
)

// Kinds of calls, for counting.
const (
	KindList     = "list"
	KindMeta     = "meta"
	KindPayloads = "payloads" // of the webhook
	KindWebhook  = "webhook"  // all else about it
)

// Meter is told of every request, once it is answered or has failed.
type Meter interface {
	Called(kind string, err error)
}

// Config says which table, and how often to call.
type Config struct {
	Endpoint string // https://api.airtable.com
	Key      string // personal access token
	Base     string // app…
	Table    string // tbl… or its name
	// RatePerSecond is shared by every call: Airtable allows 5 a base. 0 means no limit.
	RatePerSecond float64
	Timeout       time.Duration // of one attempt; 0 for the default. Small pages get more
	// MaxBody bounds the bytes of an answer; 0 for 64 MiB. A page beyond it is asked for again as a smaller one, and
	// the texts of a single record beyond it are cut to a thousandth of it: see Record.Cut.
	MaxBody int
	Meter   Meter // nil for none
	// After is the clock by which refusals are waited out; time.After if nil.
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
}

// Client calls Airtable. It is safe for concurrent use.
type Client struct {
	cfg    Config
	http   *http.Client
	slots  chan struct{} // one for each call that may be sent now; nil for no limit
	window time.Duration // after its answer, until a call's slot is free again
	pages  pageSizer

	mu       sync.Mutex
	paused   time.Time     // no call before this
	ahead    time.Duration // see Ahead
	answered chan struct{} // closed at the next answer, if somebody waits for it
	away     bool          // the last call was given up without an answer
	counts   map[string]int
	total    atomic.Int64
}

// New makes a client.
func New(cfg Config) *Client {
	cfg.Endpoint = strings.TrimRight(cfg.Endpoint, "/")
	cfg.Timeout, cfg.MaxBody = cmp.Or(cfg.Timeout, callTimeout), cmp.Or(cfg.MaxBody, maxBody)
	if cfg.After == nil {
		cfg.After = time.After
	}
	c := &Client{
		cfg: cfg, counts: map[string]int{},
		http: &http.Client{
			// A redirect would carry the token elsewhere; Airtable's API sends none.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if cfg.RatePerSecond > 0 {
		n := max(1, int(cfg.RatePerSecond))
		c.window = time.Duration(float64(n) / cfg.RatePerSecond * float64(time.Second))
		c.slots = make(chan struct{}, n)
		for range n {
			c.slots <- struct{}{}
		}
	}
	return c
}

// Calls returns how many requests were sent so far, in all and by kind.
func (c *Client) Calls() (total int, byKind map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.total.Load()), maps.Clone(c.counts)
}

// Base is the id of the base, and Table the table's id or name, as they were configured.
func (c *Client) Base() string { return c.cfg.Base }

// Table is described at Base.
func (c *Client) Table() string { return c.cfg.Table }

// Source names the table in events: /airtable/<base>/<table>.
func (c *Client) Source() string { return "/airtable/" + c.cfg.Base + "/" + c.cfg.Table }

// Page is one page of a listing.
type Page struct {
	Records []Record
	Offset  string    // "" on the last page
	Full    bool      // as many records as were asked for
	At      time.Time // when Airtable answered, by its own clock
}

// Query narrows a listing.
type Query struct {
	Formula   string // filterByFormula; "" for all records
	ByFieldID bool   // key cells by field id instead of by name
}

// maxGetURL is the length from which a listing is asked for by POST: Airtable refuses longer URLs
// above 16,000 characters.
const maxGetURL = 15000

// Page fetches the page at offset, "" for the first. After an error that IsIteratorExpired,
// start over. A page that takes too long, or is too large, is asked for again as a smaller one.
func (c *Client) Page(ctx context.Context, q Query, offset string) (Page, error) {
	var answer struct {
		Records *records `json:"records"`
		Offset  string   `json:"offset"`
	}
	var req request
	at, err := c.call(ctx, KindList, func() (_ request, err error) {
		req, err = c.pageRequest(q, offset)
		return req, err
	}, &answer)
	if err != nil {
		return Page{}, err
	}
	if answer.Records == nil {
		return Page{}, fmt.Errorf("%w: a page without records", ErrNonsense)
	}
	for i, r := range *answer.Records {
		(*answer.Records)[i].Cut = *req.cut
		if r.ID == "" || r.CreatedTime.IsZero() {
			return Page{}, fmt.Errorf("%w: a record without id or createdTime", ErrNonsense)
		}
	}
	if answer.Offset != "" && answer.Offset == offset {
		return Page{}, fmt.Errorf("%w: the same offset again", ErrNonsense)
	}
	return Page{Records: *answer.Records, Offset: answer.Offset, Full: len(*answer.Records) >= req.pageSize, At: at}, nil
}

func (c *Client) pageRequest(q Query, offset string) (request, error) {
	size, timeout := c.pages.next(c.cfg.Timeout)
	params := url.Values{"pageSize": {strconv.Itoa(size)}}
	if q.Formula != "" {
		params.Set("filterByFormula", q.Formula)
	}
	if q.ByFieldID {
		params.Set("returnFieldsByFieldId", "true")
	}
	if offset != "" {
		params.Set("offset", offset)
	}
	req := request{
		method: http.MethodGet, timeout: timeout, pageSize: size, cut: new(int),
		path: "/v0/" + url.PathEscape(c.cfg.Base) + "/" + url.PathEscape(c.cfg.Table),
	}
	if target := req.path + "?" + params.Encode(); len(target) <= maxGetURL {
		req.path = target
		return req, nil
	}
	req.method, req.path = http.MethodPost, req.path+"/listRecords"
	return req, req.encode(listBody{PageSize: size, Formula: q.Formula, ByFieldID: q.ByFieldID, Offset: offset})
}

// All fetches every page of a listing that is known to be short, such as one of up to PageSize records by
// their ids. Airtable may end any page early and go on at an offset. At is that of the first page.
func (c *Client) All(ctx context.Context, q Query) (all Page, err error) {
	const restarts = 3
	for range restarts {
		if all, err = c.all(ctx, q); !IsIteratorExpired(err) {
			break
		}
	}
	return all, err
}

func (c *Client) all(ctx context.Context, q Query) (Page, error) {
	const most = 2 * PageSize // pages, some of them empty
	all, err := c.Page(ctx, q, "")
	for n := 1; err == nil && all.Offset != ""; n++ {
		if n == most {
			return Page{}, fmt.Errorf("%w: more than %d pages of a short listing", ErrNonsense, most)
		}
		var next Page
		next, err = c.Page(ctx, q, all.Offset)
		all.Records, all.Offset = append(all.Records, next.Records...), next.Offset
	}
	if err != nil {
		return Page{}, err
	}
	return all, nil
}

type listBody struct {
	PageSize  int    `json:"pageSize"`
	Formula   string `json:"filterByFormula,omitempty"`
	ByFieldID bool   `json:"returnFieldsByFieldId,omitempty"`
	Offset    string `json:"offset,omitempty"`
}

// Table is a table as the metadata API describes it.
type Table struct {
	ID             string  `json:"id"`
	Name           string  `json:"name"`
	PrimaryFieldID string  `json:"primaryFieldId"`
	Fields         []Field `json:"fields"`
	// Primaries are the primary fields of all tables of the base, by the table's id.
	Primaries map[string]string `json:"primaries,omitempty"`
}

// Field is a column of a table.
type Field struct {
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Type    string  `json:"type"`
	Options Options `json:"options,omitzero"`
}

// Options are what of a field's options matters here. Which of them a field has depends on its type.
type Options struct {
	Choices              []Choice `json:"choices,omitempty"`
	ReferencedFieldIDs   []string `json:"referencedFieldIds,omitempty"`
	TimeZone             string   `json:"timeZone,omitempty"` // utc, client or a name of the time zone database
	LinkedTableID        string   `json:"linkedTableId,omitempty"`
	RecordLinkFieldID    string   `json:"recordLinkFieldId,omitempty"`    // of a lookup, rollup or count
	FieldIDInLinkedTable string   `json:"fieldIdInLinkedTable,omitempty"` // of a lookup or rollup
	DateFormat           struct {
		Name string `json:"name,omitempty"` // local, friendly, us, european or iso
	} `json:"dateFormat,omitzero"`
	// Result is the type of what is computed, nil where Airtable does not say.
	Result *struct {
		Type    string  `json:"type"`
		Options Options `json:"options,omitzero"`
	} `json:"result,omitempty"`
}

// Choice is one option of a select field.
type Choice struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
}

// Value is the type and options of the field's values: of a computed field those of its result.
func (f Field) Value() (typ string, options Options) {
	if r := f.Options.Result; r != nil && r.Type != "" {
		return r.Type, r.Options
	}
	return f.Type, f.Options
}

// Key is how cells of the field are keyed: by its id, by its name where that is not known.
func (f Field) Key() string { return cmp.Or(f.ID, f.Name) }

// Schema fetches the table's description. It needs the scope schema.bases:read; without it the
// error satisfies IsForbidden. A table that is not there is a *NoTableError.
func (c *Client) Schema(ctx context.Context) (Table, error) {
	var answer struct {
		Tables *[]Table `json:"tables"`
	}
	_, err := c.call(ctx, KindMeta, c.fixed(http.MethodGet, "/v0/meta/bases/"+url.PathEscape(c.cfg.Base)+"/tables", nil), &answer)
	if err != nil {
		return Table{}, err
	}
	if answer.Tables == nil {
		return Table{}, fmt.Errorf("%w: metadata without tables", ErrNonsense)
	}
	names, primaries := make([]string, 0, len(*answer.Tables)), map[string]string{}
	for _, t := range *answer.Tables {
		primaries[t.ID] = t.PrimaryFieldID
	}
	for _, t := range *answer.Tables {
		if t.ID == c.cfg.Table || t.Name == c.cfg.Table {
			t.Primaries = primaries
			return t, nil
		}
		names = append(names, fmt.Sprintf("%s (%s)", t.Name, t.ID))
	}
	return Table{}, &NoTableError{Base: c.cfg.Base, Table: c.cfg.Table, There: names}
}

// request is one attempt of a call.
type request struct {
	method, path string
	body         []byte // nil for none
	timeout      time.Duration
	pageSize     int  // of a listing, else 0
	cut          *int // of a listing: gets the bytes to which its texts had to be cut
}

func (r *request) encode(body any) (err error) {
	if r.body, err = json.Marshal(body); err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return nil
}

// fixed makes a request that is the same in every attempt. body is nil for none.
func (c *Client) fixed(method, path string, body any) func() (request, error) {
	return func() (request, error) {
		req := request{method: method, path: path, timeout: c.cfg.Timeout}
		if body == nil {
			return req, nil
		}
		return req, req.encode(body)
	}
}

// call makes and sends requests, within the pace, until one is answered, refused for good or tried often
// enough. It decodes the answer into out and returns Airtable's time.
func (c *Client) call(ctx context.Context, kind string, next func() (request, error), out any) (time.Time, error) {
	for attempt := 1; ; attempt++ {
		req, err := next()
		if err != nil {
			return time.Time{}, err
		}
		at, err := c.once(ctx, kind, req, out)
		if err == nil {
			return at, nil
		}
		if req.pageSize > 1 && errors.Is(err, errTooLarge) && ctx.Err() == nil {
			attempt-- // Airtable has not failed
			continue
		}
		wait, again := c.backoff(err, attempt)
		if !again || ctx.Err() != nil {
			return time.Time{}, err
		}
		c.cfg.Log.WarnContext(ctx, "Airtable call failed, trying again", "kind", kind, "attempt", attempt, "wait", wait, "error", err)
		if err := c.sleep(ctx, wait); err != nil {
			return time.Time{}, err
		}
	}
}

// asAirtableSends takes half a surrogate pair in a cell, which people's texts can end in.
var asAirtableSends = jsonv2.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// backoff decides whether and when a failed attempt is repeated. A 429 silences every caller. While
// Airtable is away each call is one attempt, so that waiting for it does not use up the month's.
func (c *Client) backoff(err error, attempt int) (time.Duration, bool) {
	wait := jitter(attempt)
	var refused *Error
	switch {
	case !errors.As(err, &refused): // no whole answer: connection refused or cut, time-out, HTML or cut JSON
	case refused.RateLimited():
		c.silence(refused)
		return 0, attempt < attempts // once waits
	case refused.Status >= 500 || refused.Status == http.StatusRequestTimeout:
		wait = max(wait, refused.RetryAfter)
	default:
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = c.away || attempt >= attempts
	return wait, !c.away
}

// silence keeps every caller from calling for as long as a 429 asks.
func (c *Client) silence(refused *Error) {
	wait := defaultPenalty
	if refused.RetryAfter > 0 {
		wait = refused.RetryAfter
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = time.Now().Add(wait)
}

// Answered is closed when Airtable next answers a call, whoever makes it.
func (c *Client) Answered() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answered == nil {
		c.answered = make(chan struct{})
	}
	return c.answered
}

// jitter is a random share of 250 ms doubled with each attempt, 8 s at most.
func jitter(attempt int) time.Duration {
	top := min(250*time.Millisecond<<attempt, 8*time.Second)
	return top/2 + rand.N(top/2)
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// once sends a request when the pace allows. A nil out takes any answer, an empty one too.
func (c *Client) once(ctx context.Context, kind string, req request, out any) (time.Time, error) {
	if err := c.pace(ctx); err != nil {
		return time.Time{}, err
	}
	return c.send(ctx, kind, req, out)
}

// send sends a request whose turn pace has found.
func (c *Client) send(ctx context.Context, kind string, r request, out any) (_ time.Time, err error) {
	defer c.free()
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	size := 0
	if r.pageSize > 0 {
		defer func() {
			if smaller := c.pages.observe(listing{
				size: r.pageSize, took: time.Since(began), timeout: r.timeout, slow: isSlow(err) && ctx.Err() == nil,
				share: float64(size) / float64(c.cfg.MaxBody),
			}); smaller > 0 {
				c.cfg.Log.WarnContext(ctx, "page size reduced", "from", r.pageSize, "to", smaller, "error", err)
			}
		}()
	}
	req, err := http.NewRequestWithContext(limited, r.method, c.cfg.Endpoint+r.path, bytes.NewReader(r.body))
	if err != nil {
		return time.Time{}, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.cfg.Key)
	req.Header.Set("User-Agent", "resonance")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	sent := time.Now()
	res, err := c.http.Do(req)
	if dial, ok := errors.AsType[*net.OpError](err); !ok || dial.Op != "dial" { // else nothing was sent
		defer func() { c.count(ctx, kind, err) }()
	}
	if err != nil {
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err // without the URL and its query
		}
		return time.Time{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer res.Body.Close()
	at := c.clock(res, sent, time.Now())
	body, _ := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body) // this one, not one that takes its place
	body.Reset()
	_, err = body.ReadFrom(io.LimitReader(res.Body, int64(c.cfg.MaxBody)+1))
	size = body.Len()
	if err == nil && size > c.cfg.MaxBody && r.pageSize == 1 && res.StatusCode/100 == 2 {
		*r.cut = c.cfg.MaxBody >> 10
		var short bytes.Buffer
		err = cutTexts(&short, io.MultiReader(body, res.Body), *r.cut, c.cfg.MaxBody)
		body = &short
	}
	data := body.Bytes() // what is decoded keeps nothing of it
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case res.StatusCode/100 != 2:
		return time.Time{}, parseError(res, data)
	case len(data) > c.cfg.MaxBody:
		return time.Time{}, fmt.Errorf("%w: %d", errTooLarge, c.cfg.MaxBody)
	}
	if out != nil {
		if err := jsonv2.Unmarshal(data, out, asAirtableSends); err != nil {
			return time.Time{}, fmt.Errorf("%w: %w", ErrNonsense, err)
		}
	}
	c.mu.Lock()
	c.away = false
	if c.answered != nil {
		close(c.answered)
		c.answered = nil
	}
	c.mu.Unlock()
	return at, nil
}

// count counts a request that was sent, and tells the meter how it ended.
func (c *Client) count(ctx context.Context, kind string, err error) {
	c.mu.Lock()
	c.counts[kind]++
	c.mu.Unlock()
	c.total.Add(1)
	count(ctx)
	if c.cfg.Meter != nil {
		c.cfg.Meter.Called(kind, err)
	}
}

// clock returns when Airtable answered, by its own clock, and learns how far that is ahead of ours.
func (c *Client) clock(res *http.Response, sent, received time.Time) time.Time {
	at, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return received
	}
	if received.Sub(sent) > time.Second { // which tells too little
		return at
	}
	// At some moment between sent and received it was at, or up to a second later.
	ahead := at.Sub(received)
	if ahead <= 0 && at.Add(time.Second).After(sent) {
		ahead = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = ahead
	return at
}

// Ahead is how far Airtable's clock is ahead of ours at least, by its last quick answer: up to two
// seconds less than it is, and 0 where they may agree.
func (c *Client) Ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

// pace waits for the penalty to end and for a slot. Airtable counts calls as they reach it, which is
// some time between sending and answer: five whose sixth is sent a second after the first's answer
// are never too many, however they were delayed. The slot is to be freed once the call is answered.
func (c *Client) pace(ctx context.Context) error {
	for {
		if c.slots != nil {
			select {
			case <-c.slots:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		c.mu.Lock() // somebody may have been refused meanwhile
		paused := c.paused
		c.mu.Unlock()
		wait := time.Until(paused)
		if wait <= 0 {
			return nil
		}
		if c.slots != nil {
			c.slots <- struct{}{}
		}
		if err := c.sleep(ctx, wait); err != nil {
			return err
		}
		c.mu.Lock()
		if c.paused.Equal(paused) {
			c.paused = time.Time{}
		}
		c.mu.Unlock()
	}
}

// free gives a slot back.
func (c *Client) free() {
	if c.slots != nil {
		time.AfterFunc(c.window, func() { c.slots <- struct{}{} })
	}
}

// Rest returns once none of this client's calls counts against the pace any more, or ctx ends: another
// process may go on from there.
func (c *Client) Rest(ctx context.Context) {
	for range cap(c.slots) {
		select {
		case <-c.slots:
			defer func() { c.slots <- struct{}{} }()
		case <-ctx.Done():
			return
		}
	}
}

func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-c.cfg.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
