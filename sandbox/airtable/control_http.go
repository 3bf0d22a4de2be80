package airtabletest

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// controlPath is where programs on this machine, such as end-to-end tests,
// reach what tests in Go do by method. It takes the API's token, answers 422
// to what it does not understand, and {} where there is nothing to say. What is about records and fields takes
// ?table=, a name or id, and else is about the table of the sample orders:
//
//	GET    /_sandbox/calls              Calls
//	DELETE /_sandbox/calls              ResetCalls
//	GET    /_sandbox/faults             [{"fault": Fault, "hits": 3}, …], those at work
//	POST   /_sandbox/faults             a Fault, with retry_after in seconds and delay_ms
//	DELETE /_sandbox/faults             Heal
//	DELETE /_sandbox/iterators          ExpireIterators
//	GET    /_sandbox/records[/{id}]     Records or Record
//	POST   /_sandbox/records            {"as": User, "create": [Fields], "update": [{"ids": [id], "fields": Fields}], "delete": [id]}
//	                                    as a person in Airtable; {"created": [id], "deleted": 2}
//	POST   /_sandbox/fields             {"field": "Status"} and one of "rename": name, "delete": true, "add_choice": name,
//	                                    "remove_choice": name, "formula": text, "locked": bool; or {"add": Field}
//	POST   /_sandbox/tables             {"name": "Customers", "fields": [Field]}; {"id": id}
//	POST   /_sandbox/scopes             {"revoke": ["webhook:manage"], "grant": […]}
//	POST   /_sandbox/rate               {"per_second": 5, "penalty_ms": 30000}
//	GET    /_sandbox/quota              Quota
//	POST   /_sandbox/quota              {"limit": 1000, "used": 0}
//	GET    /_sandbox/writes?after=7     Writes
//	GET    /_sandbox/webhooks           Webhooks
//	POST   /_sandbox/webhooks/{id}      {"do": "expire" | "remove" | "skip" | "forget" | "error" | "ping", "n": 3, "code": "INVALID_HOOK"}
const controlPath = "/_sandbox/"

func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		errorReply(errNotFound).write(w)
		return
	}
	if !s.authorized(r) {
		errorReply(errAuthentication).write(w)
		return
	}
	topic, id, _ := strings.Cut(r.URL.Path[len(controlPath):], "/")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		errorReply(errBodyTooBig).write(w)
		return
	}
	what, err := s.controlled(r, topic, id, body)
	if err == nil {
		jsonReply(http.StatusOK, mustJSON(what)).write(w)
		return
	}
	fail, ok := errors.AsType[*apiError](err)
	if !ok {
		fail = invalidRequest("%v", err)
	}
	errorReply(fail).write(w)
}

// controlled does what one control request asks for and returns what to answer.
func (s *Server) controlled(r *http.Request, topic, id string, body []byte) (any, error) {
	nothing := object{}
	t := s.Table
	if ref := r.URL.Query().Get("table"); ref != "" {
		if t = s.InTable(ref); t == nil {
			return nil, errNotFound
		}
	}
	route := r.Method + " " + topic
	if id != "" {
		route += "/"
	}
	switch route {
	case "GET calls":
		return s.Calls(), nil
	case "DELETE calls":
		return s.ResetCalls(), nil
	case "GET faults":
		return s.atWork(), nil
	case "POST faults":
		return nothing, s.controlFault(body)
	case "DELETE faults":
		s.Heal()
		return nothing, nil
	case "DELETE iterators":
		s.ExpireIterators()
		return nothing, nil
	case "GET records":
		return t.Records(), nil
	case "GET records/":
		record, ok := t.Record(id)
		if !ok {
			return nil, errNotFound
		}
		return record, nil
	case "POST records":
		return t.controlRecords(body)
	case "POST fields":
		return t.controlFields(body)
	case "POST tables":
		var in struct {
			Name   string
			Fields []Field
		}
		if err := strict(body, &in); err != nil {
			return nil, err
		}
		made, err := s.AddTable(in.Name, in.Fields...)
		if err != nil {
			return nil, err
		}
		return object{"id": made.TableID()}, nil
	case "POST scopes":
		return nothing, s.controlScopes(body)
	case "POST rate":
		var rate struct {
			PerSecond float64 `json:"per_second"`
			PenaltyMS int     `json:"penalty_ms"`
		}
		err := strict(body, &rate)
		if err == nil {
			s.SetRate(rate.PerSecond, time.Duration(rate.PenaltyMS)*time.Millisecond)
		}
		return nothing, err
	case "GET quota":
		return s.Quota(), nil
	case "POST quota":
		var q struct{ Limit, Used int }
		err := strict(body, &q)
		if err == nil {
			s.SetQuota(q.Limit, q.Used)
		}
		return s.Quota(), err
	case "GET writes":
		after, err := strconv.Atoi("0" + r.URL.Query().Get("after"))
		return s.Writes(after), err
	case "GET webhooks":
		return s.Webhooks(), nil
	case "POST webhooks/":
		return nothing, s.controlWebhook(id, body)
	}
	return nil, errNotFound
}

// strict decodes a control request; what it does not know is an error.
func strict(body []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func (s *Server) controlFault(body []byte) error {
	var f struct {
		Fault
		Seconds int `json:"retry_after"`
		DelayMS int `json:"delay_ms"`
	}
	if err := strict(body, &f); err != nil || !slices.Contains(effects, f.Do) {
		return invalidRequest("A fault is {on, table, method, do, times, after, probability, seed, retry_after, delay_ms, applied}, and do is one of %v", effects)
	}
	f.RetryAfter = time.Duration(f.Seconds) * time.Second
	f.Delay = time.Duration(f.DelayMS) * time.Millisecond
	s.Fail(f.Fault)
	return nil
}

// atWork returns the faults that are not spent.
func (s *Server) atWork() []object {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	list := make([]object, len(s.faults))
	for i, inj := range s.faults {
		list[i] = object{"fault": inj.fault, "hits": inj.hits}
	}
	return list
}

func (t *Table) controlRecords(body []byte) (any, error) {
	var in struct {
		As     *User    `json:"as"`
		Create []Fields `json:"create"`
		Update []struct {
			IDs    []string `json:"ids"`
			Fields Fields   `json:"fields"`
		} `json:"update"`
		Delete []string `json:"delete"`
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	who := somebody
	if in.As != nil {
		who = *in.As
	}
	editor := t.As(who)
	created := []string{}
	if len(in.Create) > 0 {
		var err error
		if created, err = editor.CreateRecords(in.Create...); err != nil {
			return nil, err
		}
	}
	for _, u := range in.Update {
		if err := editor.UpdateRecords(u.IDs, u.Fields); err != nil {
			return nil, err
		}
	}
	return object{"created": created, "deleted": editor.DeleteRecords(in.Delete...)}, nil
}

func (t *Table) controlFields(body []byte) (any, error) {
	var in struct {
		Add          *Field  `json:"add"`
		Field        string  `json:"field"`
		Rename       *string `json:"rename"`
		Delete       bool    `json:"delete"`
		AddChoice    *string `json:"add_choice"`
		RemoveChoice *string `json:"remove_choice"`
		Formula      *string `json:"formula"`
		Locked       *bool   `json:"locked"`
	}
	if err := strict(body, &in); err != nil {
		return nil, err
	}
	nothing := object{}
	switch {
	case in.Add != nil:
		id, err := t.AddField(*in.Add)
		return object{"id": id}, err
	case in.Rename != nil:
		return nothing, t.RenameField(in.Field, *in.Rename)
	case in.Delete:
		return nothing, t.DeleteField(in.Field)
	case in.AddChoice != nil:
		return nothing, t.AddChoice(in.Field, *in.AddChoice)
	case in.RemoveChoice != nil:
		return nothing, t.RemoveChoice(in.Field, *in.RemoveChoice)
	case in.Formula != nil:
		return nothing, t.ConvertToFormula(in.Field, *in.Formula)
	case in.Locked != nil:
		return nothing, t.LockField(in.Field, *in.Locked)
	}
	return nil, invalidRequest("Nothing is asked of the field")
}

func (s *Server) controlScopes(body []byte) error {
	var in struct{ Revoke, Grant []Scope }
	if err := strict(body, &in); err != nil {
		return err
	}
	for _, sc := range slices.Concat(in.Revoke, in.Grant) {
		if !slices.Contains(scopes, sc) {
			return invalidRequest("A scope is one of %v", scopes)
		}
	}
	s.Revoke(in.Revoke...)
	s.Grant(in.Grant...)
	return nil
}

func (s *Server) controlWebhook(id string, body []byte) error {
	var in struct {
		Do   string `json:"do"`
		N    int    `json:"n"`
		Code string `json:"code"`
	}
	if err := strict(body, &in); err != nil {
		return err
	}
	switch in.Do {
	case "expire":
		return s.ExpireWebhook(id)
	case "remove":
		return s.RemoveWebhook(id)
	case "skip":
		return s.SkipPayloads(id, in.N)
	case "forget":
		return s.ForgetPayloads(id)
	case "error":
		return s.AddErrorPayload(id, in.Code)
	case "ping":
		return s.Ping(id)
	}
	return invalidRequest("A webhook can expire, remove, skip, forget, error or ping")
}
