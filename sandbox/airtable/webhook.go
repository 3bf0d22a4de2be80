package airtabletest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// A webhook lives seven days from its creation, its last refresh or the last
// listing of its payloads; what is left of it can be read for seven more.
const (
	hookTTL     = 7 * 24 * time.Hour
	hookHistory = 7 * 24 * time.Hour
	maxHooks    = 10
)

// Codes of error payloads. https://airtable.com/developers/web/api/model/webhooks-payload
const (
	CodeInvalidFilters = "INVALID_FILTERS"
	CodeInvalidHook    = "INVALID_HOOK"
	CodeInternalError  = "INTERNAL_ERROR"
)

// hook is a webhook. The exported fields are what is kept of it besides its payloads.
type hook struct {
	ID            string          `json:"id"`
	URL           string          `json:"url,omitempty"`
	Secret        []byte          `json:"secret"`
	Specification json.RawMessage `json:"specification"`
	Expires       time.Time       `json:"expires"`
	First         int64           `json:"first,omitempty"`  // cursor of the first payload that was not forgotten
	Next          int64           `json:"next"`             // cursor of the payload to come
	Failed        string          `json:"failed,omitempty"` // code of the error payload that ended it
	Notify        bool            `json:"notify,omitempty"`
	Pinged        int64           `json:"pinged,omitempty"` // Next as of the last ping that arrived
	LastSuccess   *time.Time      `json:"last_success,omitempty"`
	LastResult    *pingResult     `json:"last_result,omitempty"`

	spec     *specification
	payloads []payload
	unsaved  []payload // those the journal does not have yet
	fresh    bool      // there are payloads that nobody was told of yet
	pinging  bool      // a goroutine is at it
	attempts int
}

// active reports whether the webhook still produces payloads.
func (h *hook) active(now time.Time) bool { return h.Failed == "" && now.Before(h.Expires) }

// hook finds a webhook by its id and lets go of those long expired. The caller holds s.mu.
func (s *Server) hook(id string) *hook {
	now := s.now()
	for _, h := range slices.Clone(s.base.hooks) {
		if !now.Before(h.Expires.Add(hookHistory)) {
			s.dropHook(h)
		}
	}
	for _, h := range s.base.hooks {
		if h.ID == id {
			return h
		}
	}
	return nil
}

func (s *Server) dropHook(h *hook) {
	s.base.hooks = slices.DeleteFunc(s.base.hooks, func(other *hook) bool { return other == h })
	s.keep(&entry{Dropped: h.ID})
}

func isoTime(t time.Time) string { return t.UTC().Format(isoMillis) }

// webhooks routes what is below /v0/bases/{base}/webhooks.
func (s *Server) webhooks(req *request, rest []string) {
	method := req.http.Method
	req.kind = Webhooks
	if len(rest) > 0 {
		req.webhook = rest[0]
	}
	switch {
	case len(rest) == 0 && method == http.MethodGet:
		req.handle = s.listHooks
	case len(rest) == 0 && method == http.MethodPost:
		req.handle = s.createHook
	case len(rest) == 1 && method == http.MethodDelete:
		req.handle = s.deleteHook
	case len(rest) == 2 && rest[1] == "payloads" && method == http.MethodGet:
		req.kind, req.handle = Payloads, s.listPayloads
	case len(rest) == 2 && rest[1] == "refresh" && method == http.MethodPost:
		req.handle = s.refreshHook
	case len(rest) == 2 && rest[1] == "enableNotifications" && method == http.MethodPost:
		req.handle = s.enableNotifications
	}
}

// mayWatch refuses what the token may not read anyway.
func (s *Server) mayWatch(f *filters) *apiError {
	for _, d := range f.DataTypes {
		need := SchemaRead
		if d == "tableData" {
			need = RecordsRead
		}
		if !s.may(need) {
			return errModel
		}
	}
	return nil
}

func (s *Server) createHook(r *request) reply {
	var body struct {
		NotificationURL *string         `json:"notificationUrl"`
		Specification   json.RawMessage `json:"specification"`
	}
	if fail := decode(r.body, &body); fail != nil {
		return errorReply(fail)
	}
	if body.Specification == nil {
		return errorReply(errParameters)
	}
	target := ""
	if body.NotificationURL != nil {
		target = *body.NotificationURL
		u, err := url.Parse(target)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return errorReply(invalidRequest("Invalid request: notificationUrl is no URL"))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	spec, fail := parseSpecification(body.Specification, s.base)
	if fail != nil {
		return errorReply(fail)
	}
	if fail := s.mayWatch(&spec.Options.Filters); fail != nil {
		return errorReply(fail)
	}
	s.hook("") // lets go of those long expired
	if len(s.base.hooks) >= maxHooks {
		return errorReply(unprocessable("TOO_MANY_WEBHOOKS_IN_BASE", "Cannot create webhook: the base already has the maximum number of webhooks"))
	}
	h := &hook{
		ID: s.base.newID("ach"), URL: target, Secret: make([]byte, 32), Specification: body.Specification,
		Expires: s.now().Add(hookTTL), Next: 1, Notify: target != "", Pinged: 1, spec: spec,
	}
	_, _ = rand.Read(h.Secret) // never fails, says its documentation
	s.base.hooks = append(s.base.hooks, h)
	s.keepHook(h)
	return jsonReply(http.StatusOK, mustJSON(object{
		"id": h.ID, "macSecretBase64": base64.StdEncoding.EncodeToString(h.Secret), "expirationTime": isoTime(h.Expires),
	}))
}

func (s *Server) listHooks(*request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook("") // lets go of those long expired
	now := s.now()
	list := make([]object, len(s.base.hooks))
	for i, h := range s.base.hooks {
		o := object{
			"id": h.ID, "areNotificationsEnabled": h.Notify, "cursorForNextPayload": h.Next, "isHookEnabled": h.active(now),
			"lastSuccessfulNotificationTime": nil, "notificationUrl": nil, "expirationTime": isoTime(h.Expires),
			"lastNotificationResult": h.LastResult, "specification": h.Specification,
		}
		if h.URL != "" {
			o["notificationUrl"] = h.URL
		}
		if h.LastSuccess != nil {
			o["lastSuccessfulNotificationTime"] = isoTime(*h.LastSuccess)
		}
		list[i] = o
	}
	return jsonReply(http.StatusOK, mustJSON(object{"webhooks": list}))
}

// emptyReply has no body: the documentation gives none for deleting and for switching pings.
func emptyReply() reply { return reply{status: http.StatusOK, contentType: typeJSON} }

func (s *Server) deleteHook(r *request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hook(r.webhook)
	if h == nil {
		return errorReply(errNotFound)
	}
	s.dropHook(h)
	return emptyReply()
}

func (s *Server) refreshHook(r *request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hook(r.webhook)
	if h == nil {
		return errorReply(errNotFound)
	}
	if !h.active(s.now()) {
		return errorReply(unprocessable(CodeInvalidHook, "The webhook has expired or is disabled"))
	}
	h.Expires = s.now().Add(hookTTL)
	s.keepHook(h)
	return jsonReply(http.StatusOK, mustJSON(object{"expirationTime": isoTime(h.Expires)}))
}

func (s *Server) enableNotifications(r *request) reply {
	var body struct {
		Enable *bool `json:"enable"`
	}
	if fail := decode(r.body, &body); fail != nil {
		return errorReply(fail)
	}
	if body.Enable == nil {
		return errorReply(errParameters)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hook(r.webhook)
	if h == nil {
		return errorReply(errNotFound)
	}
	if *body.Enable && h.URL == "" {
		return errorReply(invalidRequest("Invalid request: the webhook has no notificationUrl"))
	}
	h.Notify = *body.Enable
	h.fresh = h.Next > h.Pinged
	s.keepHook(h)
	s.notify(h)
	return emptyReply()
}
