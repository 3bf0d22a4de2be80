package orders

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// Where services put the reason of a rejected edit: in an order's edit or an entry of the history,
// alone or in an array.
var reasonAt = regexp.MustCompile(`^(/\d+)?(/edit)?/reason$`)

var asServicesSend = []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}

// reasonsIn gives data with its reasons, {"es":…,"en":…}, as texts in one language. All else stays
// byte by byte; data without a reason, which is nearly all there is, is not even parsed.
func reasonsIn(lang string, data []byte) (_ []byte, changed bool, _ error) {
	if !bytes.Contains(data, []byte(`"reason":`)) {
		return data, false, nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(data), asServicesSend...)
	out := make([]byte, 0, len(data))
	copied := 0
	for {
		kind := d.PeekKind()
		if (kind == '{' || kind == '[') && d.StackDepth() == 3 { // a field's own content
			if err := d.SkipValue(); err != nil {
				return nil, false, route.Unreadable(err)
			}
			continue
		}
		token, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, route.Unreadable(err)
		}
		if token.Kind() != '"' || token.String() != "reason" || d.PeekKind() != '{' || !reasonAt.MatchString(string(d.StackPointer())) {
			continue
		}
		value, err := d.ReadValue()
		if err != nil {
			return nil, false, route.Unreadable(err)
		}
		var reason fault.Text
		if err := json.Unmarshal(value, &reason); err != nil {
			return nil, false, route.Unreadable(err)
		}
		text, err := json.Marshal(reason.In(lang))
		if err != nil {
			return nil, false, route.Unreadable(err)
		}
		end := int(d.InputOffset())
		out = append(append(out, data[copied:end-len(value)]...), text...)
		copied, changed = end, true
	}
	return append(out, data[copied:]...), changed, nil
}

// presented gives orders, or anything else of a service's, as clients see them: with links to their files,
// and reasons in one language.
func presented(lang string, data []byte) (_ []byte, localised bool, _ error) {
	data, err := linkFiles(data)
	if err != nil {
		return nil, false, err
	}
	return reasonsIn(lang, data)
}

// localised gives a service's answer in the language of the request, and says so to caches.
func localised(w http.ResponseWriter, r *http.Request, data []byte) (_ []byte, changed bool, _ error) {
	data, changed, err := presented(problem.Language(r.Header.Get("Accept-Language")), data)
	if changed {
		w.Header().Add("Vary", "Accept-Language")
	}
	return data, changed, err
}

// localisedOrder is localised for one order, with its tag: in two languages the same state has
// other bytes, and so a weak one.
func localisedOrder(w http.ResponseWriter, r *http.Request, data []byte, tag string) (_ []byte, _ string, _ error) {
	data, changed, err := localised(w, r, data)
	if changed {
		tag = "W/" + strings.TrimPrefix(tag, "W/")
	}
	return data, tag, err
}
