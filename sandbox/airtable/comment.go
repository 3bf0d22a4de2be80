package airtabletest

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// comment is one on a record. Times are in Unix milliseconds.
type comment struct {
	ID      string       `json:"id"`
	Author  collaborator `json:"author"`
	Text    string       `json:"text"`
	Created int64        `json:"created"`
	Updated int64        `json:"updated,omitempty"`
	Parent  string       `json:"parent,omitempty"`
}

// maxComment is the sandbox's own bound on a comment, in bytes.
const maxComment = 10_000

var mention = regexp.MustCompile(`@\[(usr[A-Za-z0-9]{14})\]`)

// comments routes what is below /v0/{base}/{table}/{record}/comments.
func (s *Server) comments(req *request, rest []string) {
	method := req.http.Method
	req.kind = Comments
	switch {
	case len(rest) > 1:
	case len(rest) == 1:
		req.comment = rest[0]
		switch method {
		case http.MethodPatch:
			req.handle = s.updateComment
		case http.MethodDelete:
			req.handle = s.deleteComment
		}
	case method == http.MethodGet:
		req.handle = s.listComments
	case method == http.MethodPost:
		req.handle = s.createComment
	}
	req.writes = method != http.MethodGet
}

// commented runs do on the record of the request, and keeps what it has changed.
func (s *Server) commented(r *request, do func(row *record) (any, *apiError)) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := r.table.byID[*r.record]
	if row == nil {
		return errorReply(errNotFound)
	}
	tx := s.begin(s.api())
	tx.touch(r.table, row)
	answer, fail := do(row)
	if fail != nil {
		return errorReply(fail)
	}
	if r.writes {
		ch := tx.of(r.table)
		ch.changed = append(ch.changed, row)
		s.commit(tx)
	}
	return jsonReply(http.StatusOK, mustJSON(answer))
}

// listComments lists the newest first, a page of at most 100 at a time.
func (s *Server) listComments(r *request) reply {
	query := r.http.URL.Query()
	size, from := 100, 0
	if v := query.Get("pageSize"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 100 {
			return errorReply(errParameters)
		}
		size = n
	}
	if v := query.Get("offset"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return errorReply(errParameters)
		}
		from = n
	}
	return s.commented(r, func(row *record) (any, *apiError) {
		list := []object{}
		for _, c := range slices.Backward(row.comments) {
			list = append(list, s.base.showComment(c))
		}
		page := list[min(from, len(list)):min(from+size, len(list))]
		answer := object{"comments": page, "offset": nil}
		if from+size < len(list) {
			answer["offset"] = strconv.Itoa(from + size)
		}
		return answer, nil
	})
}

func (s *Server) createComment(r *request) reply {
	text, parent, fail := commentText(r)
	if fail != nil {
		return errorReply(fail)
	}
	return s.commented(r, func(row *record) (any, *apiError) {
		if parent != "" && row.comment(parent) == nil {
			return nil, errParameters
		}
		c := &comment{ID: s.base.newID("com"), Author: collaboratorOf(s.user), Text: text, Created: s.now().UnixMilli(), Parent: parent}
		row.comments = append(row.comments, c)
		return s.base.showComment(c), nil
	})
}

func (s *Server) updateComment(r *request) reply {
	text, _, fail := commentText(r)
	if fail != nil {
		return errorReply(fail)
	}
	return s.commented(r, func(row *record) (any, *apiError) {
		c := row.comment(r.comment)
		if c == nil {
			return nil, errNotFound
		}
		if c.Author.ID != s.user.ID { // only one's own
			return nil, errModel
		}
		c.Text, c.Updated = text, s.now().UnixMilli()
		return s.base.showComment(c), nil
	})
}

func (s *Server) deleteComment(r *request) reply {
	return s.commented(r, func(row *record) (any, *apiError) {
		if row.comment(r.comment) == nil {
			return nil, errNotFound
		}
		row.comments = slices.DeleteFunc(row.comments, func(c *comment) bool { return c.ID == r.comment })
		return object{"id": r.comment, "deleted": true}, nil
	})
}

func commentText(r *request) (text, parent string, fail *apiError) {
	var b struct {
		Text   *string `json:"text"`
		Parent string  `json:"parentCommentId"`
	}
	if fail := decode(r.body, &b); fail != nil {
		return "", "", fail
	}
	if b.Text == nil || strings.TrimSpace(*b.Text) == "" || len(*b.Text) > maxComment {
		return "", "", errParameters
	}
	return *b.Text, b.Parent, nil
}

func (r *record) comment(id string) *comment {
	if i := slices.IndexFunc(r.comments, func(c *comment) bool { return c.ID == id }); i >= 0 {
		return r.comments[i]
	}
	return nil
}

func (b *base) showComment(c *comment) object {
	o := object{"id": c.ID, "author": c.Author, "text": c.Text, "createdTime": isoTime(time.UnixMilli(c.Created)), "lastUpdatedTime": nil}
	if c.Updated != 0 {
		o["lastUpdatedTime"] = isoTime(time.UnixMilli(c.Updated))
	}
	if c.Parent != "" {
		o["parentCommentId"] = c.Parent
	}
	mentioned := object{}
	for _, m := range mention.FindAllStringSubmatch(c.Text, -1) {
		if p := b.people[m[1]]; p != nil {
			mentioned[p.ID] = object{"id": p.ID, "type": "user", "displayName": p.Name, "email": p.Email}
		}
	}
	if len(mentioned) > 0 {
		o["mentioned"] = mentioned
	}
	return o
}
