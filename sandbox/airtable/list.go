package airtabletest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonance/resonance/sandbox/airtable/internal/formula"
)

// maxIterators bounds the scans kept alive; the one idle longest goes first.
const maxIterators = 128

// iterator is a scan under way: the order of its rows is frozen.
type iterator struct {
	table  *table
	rows   []*record
	starts map[recordID]int // where the pages begin that were announced by an offset
	used   time.Time
}

type sortParam struct {
	Field     string `json:"field"`
	Direction string `json:"direction"`
}

// listParams are the parameters of a list request, from its query or its body.
type listParams struct {
	PageSize       *float64    `json:"pageSize"`
	MaxRecords     *float64    `json:"maxRecords"`
	Offset         string      `json:"offset"`
	View           string      `json:"view"`
	Formula        string      `json:"filterByFormula"`
	Fields         []string    `json:"fields"`
	Sort           []sortParam `json:"sort"`
	CellFormat     string      `json:"cellFormat"`
	TimeZone       string      `json:"timeZone"`
	UserLocale     string      `json:"userLocale"`
	ByFieldID      bool        `json:"returnFieldsByFieldId"`
	RecordMetadata []string    `json:"recordMetadata"`
}

// parseListQuery reads the parameters of GET. Unknown ones are ignored, and
// so is the value of what is there but empty, as the official client sends it.
func parseListQuery(query string) (*listParams, *apiError) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, invalidRequest("The query string cannot be parsed")
	}
	p := &listParams{}
	sorts := sortParams{}
	var fields []indexed
	for key, vs := range values {
		name, subscripts := splitKey(key)
		var fail *apiError
		switch name {
		case "fields":
			fields, fail = appendIndexed(fields, subscripts, vs)
		case "sort":
			fail = sorts.set(subscripts, vs[0])
		default:
			p.set(name, vs)
		}
		if fail != nil {
			return nil, fail
		}
	}
	slices.SortStableFunc(fields, func(a, b indexed) int { return cmp.Compare(a.index, b.index) })
	for _, f := range fields {
		p.Fields = append(p.Fields, f.value)
	}
	for _, i := range slices.Sorted(maps.Keys(sorts)) {
		p.Sort = append(p.Sort, *sorts[i])
	}
	return p, nil
}

// set takes a parameter that is not spread over several keys.
func (p *listParams) set(name string, vs []string) {
	v := vs[0]
	switch name {
	case "pageSize", "limit":
		setNumber(&p.PageSize, v)
	case "maxRecords":
		setNumber(&p.MaxRecords, v)
	case "offset":
		p.Offset = v
	case "view":
		p.View = v
	case "filterByFormula":
		p.Formula = v
	case "cellFormat":
		p.CellFormat = v
	case "timeZone":
		p.TimeZone = v
	case "userLocale":
		p.UserLocale = v
	case "returnFieldsByFieldId":
		p.ByFieldID = v == "true" || v == "1"
	case "recordMetadata":
		p.RecordMetadata = append(p.RecordMetadata, vs...)
	}
}

func setNumber(to **float64, v string) {
	if v == "" {
		return
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil {
		n = -1 // refused by validate, each by its own type
	}
	*to = &n
}

// indexed is one of fields[], or of fields[0], fields[1], ...
type indexed struct {
	index int
	value string
}

func appendIndexed(fields []indexed, subscripts, values []string) ([]indexed, *apiError) {
	for i, v := range values {
		if len(subscripts) == 1 && subscripts[0] != "" {
			var err error
			if i, err = strconv.Atoi(subscripts[0]); err != nil {
				return nil, errParameters
			}
		}
		fields = append(fields, indexed{i, v})
	}
	return fields, nil
}

// sortParams are sort[0][field], sort[0][direction], ... by their number.
type sortParams map[int]*sortParam

func (s sortParams) set(subscripts []string, v string) *apiError {
	if len(subscripts) != 2 || subscripts[1] != "field" && subscripts[1] != "direction" {
		return errParameters
	}
	i, err := strconv.Atoi(subscripts[0])
	if err != nil || i < 0 {
		return errParameters
	}
	if s[i] == nil {
		s[i] = &sortParam{}
	}
	if subscripts[1] == "field" {
		s[i].Field = v
	} else {
		s[i].Direction = v
	}
	return nil
}

// splitKey takes sort[0][field] apart: "sort", ["0", "field"].
func splitKey(key string) (name string, subscripts []string) {
	name, rest, ok := strings.Cut(key, "[")
	if !ok || !strings.HasSuffix(rest, "]") {
		return key, nil
	}
	return name, strings.Split(strings.TrimSuffix(rest, "]"), "][")
}

// parseListBody reads the parameters of POST listRecords; keys it doesn't
// know are ignored. The official client sends timeZone and userLocale in the query.
func parseListBody(body []byte, query string) (*listParams, *apiError) {
	p := &listParams{}
	if err := decode(body, p); err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, invalidRequest("The query string cannot be parsed")
	}
	p.TimeZone = cmp.Or(p.TimeZone, values.Get("timeZone"))
	p.UserLocale = cmp.Or(p.UserLocale, values.Get("userLocale"))
	return p, nil
}

// decode reads a JSON body; an empty one is an empty object.
func decode(body []byte, into any) *apiError {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	err := json.Unmarshal(body, into)
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch):
		return errParameters
	case err != nil:
		return errBody
	}
	return nil
}

// listing is a validated list request.
type listing struct {
	pageSize   int
	maxRecords int // 0: no bound
	sort       []sortKey
	prog       *formula.Program
	how        rendering
}

func (t *table) validate(p *listParams, now time.Time) (*listing, *apiError) {
	l := &listing{how: rendering{now: now, byID: p.ByFieldID}}
	if fail := l.bound(p); fail != nil {
		return nil, fail
	}
	if v := p.View; v != "" && v != viewName && v != t.viewID {
		kind := "VIEW_NAME_NOT_FOUND"
		if strings.HasPrefix(v, "viw") && len(v) == 17 {
			kind = "VIEW_ID_NOT_FOUND"
		}
		return nil, unprocessable(kind, "View %s not found", v)
	}
	if fail := t.refer(l, p); fail != nil {
		return nil, fail
	}
	for _, m := range p.RecordMetadata {
		if m != "commentCount" {
			return nil, invalidRequest("Invalid request: recordMetadata takes commentCount")
		}
		l.how.comments = true
	}
	return l, l.how.format(p.CellFormat, p.TimeZone, p.UserLocale)
}

// bound sets how much is to be listed.
func (l *listing) bound(p *listParams) *apiError {
	l.pageSize = 100
	if n := p.PageSize; n != nil {
		if !(*n >= 1 && *n <= 100) || *n != float64(int(*n)) {
			return unprocessable("INVALID_PAGE_SIZE_ARGUMENT", "The page size must be a whole number from 1 to 100")
		}
		l.pageSize = int(*n)
	}
	if n := p.MaxRecords; n != nil {
		if !(*n >= 1 && *n <= 1e9) || *n != float64(int(*n)) {
			return invalidRequest("Invalid request: maxRecords must be a positive whole number")
		}
		l.maxRecords = int(*n)
	}
	return nil
}

// refer sets what refers to the table's fields: those wanted, the order and the filter.
func (t *table) refer(l *listing, p *listParams) *apiError {
	for _, name := range p.Fields {
		i, ok := t.resolve(name)
		if !ok {
			return unknownField(name)
		}
		if !slices.Contains(l.how.columns, t.columns[i]) {
			l.how.columns = append(l.how.columns, t.columns[i])
		}
	}
	for _, s := range p.Sort {
		i, ok := t.resolve(s.Field)
		if !ok {
			return unknownField(s.Field)
		}
		if s.Direction != "" && s.Direction != "asc" && s.Direction != "desc" {
			return invalidRequest("Invalid request: a sort direction is asc or desc")
		}
		l.sort = append(l.sort, sortKey{i, s.Direction == "desc"})
	}
	if strings.TrimSpace(p.Formula) != "" {
		prog, err := formula.Compile(p.Formula, t.resolve)
		if err != nil {
			return unprocessable("INVALID_FILTER_BY_FORMULA", "The formula for filtering records is invalid: %s", err)
		}
		l.prog = prog
	}
	return nil
}

// format sets the cell format, for which text needs a zone and a locale.
func (how *rendering) format(cellFormat, timeZone, userLocale string) *apiError {
	switch cellFormat {
	case "", "json":
		return nil
	case "string":
	default:
		return invalidRequest("Invalid request: cellFormat is json or string")
	}
	if timeZone == "" || userLocale == "" {
		return invalidRequest("Invalid request: timeZone and userLocale are required when cellFormat is string")
	}
	zone, err := time.LoadLocation(timeZone)
	if err != nil || timeZone == "Local" {
		return invalidRequest("Invalid request: unknown timeZone %q", timeZone)
	}
	how.text, how.zone = true, zone
	return nil
}

func (s *Server) list(r *request) reply {
	var p *listParams
	var fail *apiError
	if r.http.Method == http.MethodPost {
		p, fail = parseListBody(r.body, r.http.URL.RawQuery)
	} else {
		p, fail = parseListQuery(r.http.URL.RawQuery)
	}
	if fail != nil {
		return errorReply(fail)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := r.table
	l, fail := t.validate(p, s.now())
	if fail != nil {
		return errorReply(fail)
	}
	var rows []*record
	at := 0
	itr := ""
	if p.Offset == "" {
		rows = t.selected(l, r.http.Context().Err)
	} else {
		var next recordID
		if itr, next, fail = parseOffset(p.Offset); fail != nil {
			return errorReply(fail)
		}
		if rows, at, fail = s.resume(t, itr, next); fail != nil {
			return errorReply(fail)
		}
	}
	if r.fault != nil && r.fault.fault.Do == ShortPage {
		l.pageSize = max(1, min(l.pageSize, len(rows)-at)/3)
	}
	body := append(make([]byte, 0, 64+640*min(l.pageSize, len(rows)-at)), `{"records":[`...)
	n := 0
	for ; at < len(rows) && n < l.pageSize; at++ {
		if rows[at].deleted {
			continue
		}
		if n > 0 {
			body = append(body, ',')
		}
		body = t.appendRecord(body, rows[at], &l.how)
		n++
	}
	for at < len(rows) && rows[at].deleted {
		at++
	}
	body = append(body, ']')
	if at < len(rows) {
		body = append(body, `,"offset":"`...)
		body = append(body, s.announce(t, itr, rows, at)...)
		body = append(body, '"')
	}
	return jsonReply(http.StatusOK, append(body, '}'))
}

// selected returns the rows a first page starts from. stop ends a long filter early.
func (t *table) selected(l *listing, stop func() error) []*record {
	rows := slices.Clip(t.rows)
	if l.prog != nil {
		eval := l.prog.Evaluator(l.how.now)
		v := &view{t: t, now: l.how.now}
		var kept []*record
		for i, r := range rows {
			if i%1024 == 0 && stop() != nil {
				return nil
			}
			v.r = r
			if eval.Eval(v).Truthy() {
				kept = append(kept, r)
				if len(l.sort) == 0 && len(kept) == l.maxRecords {
					break
				}
			}
		}
		rows = kept
	}
	if len(l.sort) > 0 {
		if l.prog == nil {
			rows = slices.Clone(rows)
		}
		t.sortRows(rows, l.sort, l.how.now)
	}
	if l.maxRecords > 0 && len(rows) > l.maxRecords {
		rows = rows[:l.maxRecords]
	}
	return rows
}

// parseOffset takes itr…/rec… apart.
func parseOffset(offset string) (itr string, next recordID, fail *apiError) {
	itr, rec, ok := strings.Cut(offset, "/")
	if ok && len(itr) == 17 && strings.HasPrefix(itr, "itr") {
		if next, ok = parseID(rec); ok {
			return itr, next, nil
		}
	}
	return "", next, unprocessable("INVALID_OFFSET_VALUE", "The value of offset %s is invalid", offset)
}

// resume finds where the page begins that an offset announced. The same offset
// may be asked for again.
func (s *Server) resume(t *table, itr string, next recordID) (rows []*record, at int, fail *apiError) {
	s.iterMu.Lock()
	defer s.iterMu.Unlock()
	now := s.now()
	it := s.iterators[itr]
	if it == nil || it.table != t {
		return nil, 0, errIteratorOld
	}
	if now.Sub(it.used) >= s.cfg.IteratorTTL {
		delete(s.iterators, itr)
		return nil, 0, errIteratorOld
	}
	at, ok := it.starts[next]
	if !ok {
		return nil, 0, errIteratorOld
	}
	it.used = now
	return it.rows, at, nil
}

// announce returns the offset of the page that begins at rows[at], in the
// iterator itr or, if that is empty, in a new one.
func (s *Server) announce(t *table, itr string, rows []*record, at int) string {
	s.iterMu.Lock()
	defer s.iterMu.Unlock()
	it := s.iterators[itr]
	if it == nil {
		if len(s.iterators) >= maxIterators {
			oldest := ""
			for id, other := range s.iterators {
				if oldest == "" || other.used.Before(s.iterators[oldest].used) {
					oldest = id
				}
			}
			delete(s.iterators, oldest)
		}
		if itr == "" {
			itr = newID(s.iterRand, "itr")
		}
		it = &iterator{table: t, rows: rows, starts: map[recordID]int{}}
		s.iterators[itr] = it
	}
	it.used = s.now()
	it.starts[rows[at].id] = at
	return itr + "/" + string(rows[at].id[:])
}
