package airtabletest

import (
	"net/http"
	"slices"
)

// metadata routes what is below /v0/meta.
func (s *Server) metadata(req *request, parts []string) {
	read := req.http.Method == http.MethodGet
	switch {
	case len(parts) > 2 && parts[0] == "bases" && parts[2] == "tables":
		req.base = parts[1]
		s.structure(req, parts[3:])
	case read && len(parts) == 1 && parts[0] == "whoami":
		req.handle = s.whoami
	case read && len(parts) == 1 && parts[0] == "bases":
		req.handle = s.bases
	}
}

func (s *Server) whoami(*request) reply {
	return jsonReply(http.StatusOK, mustJSON(object{"id": s.user.ID}))
}

func (s *Server) bases(*request) reply {
	if !s.may(SchemaRead) {
		return errorReply(errModel)
	}
	return jsonReply(http.StatusOK, mustJSON(object{"bases": []object{
		{"id": s.cfg.BaseID, "name": "Resonance", "permissionLevel": "create"},
	}}))
}

func (s *Server) tables(r *request) reply {
	if !s.may(SchemaRead) || r.base != s.cfg.BaseID {
		return errorReply(errModel)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	query := r.http.URL.Query()
	visible := slices.Contains(append(query["include[]"], query["include"]...), "visibleFieldIds")
	list := make([]object, len(s.base.tables))
	for i, t := range s.base.tables {
		list[i] = t.describe(visible)
	}
	return jsonReply(http.StatusOK, mustJSON(object{"tables": list}))
}

// describe is the table as the metadata API shows it.
func (t *table) describe(visible bool) object {
	fields := make([]object, 0, len(t.columns))
	ids := make([]string, 0, len(t.columns))
	primary := ""
	for _, c := range t.columns {
		if c.deleted {
			continue
		}
		if primary == "" {
			primary = c.ID
		}
		fields = append(fields, t.schema(c))
		ids = append(ids, c.ID)
	}
	grid := object{"id": t.viewID, "name": viewName, "type": "grid"}
	if visible {
		grid["visibleFieldIds"] = ids
	}
	o := object{"id": t.id, "name": t.name, "primaryFieldId": primary, "fields": fields, "views": []object{grid}}
	if t.description != "" {
		o["description"] = t.description
	}
	return o
}
