package orders

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/language"

	"github.com/resonance/resonance/pkg/event/schema"
	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
	"github.com/resonance/resonance/services/gateway/internal/access"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/problem"
)

const (
	bom = "\ufeff"
	// exportPage is how many orders are asked for at once.
	exportPage = 1000
	// exportWait is how long one page may take to be read by the client.
	exportWait = 30 * time.Second
)

// exported are the columns that go into the file, in their order.
var exported = slices.DeleteFunc(slices.Clone(schema.Columns), func(c schema.Column) bool { return !c.Export })

// exportRow is one order, as much of it as goes into the file: the texts of the exported columns, of numbers
// their digits as they were written, "" for empty ones.
type exportRow []string

// UnmarshalJSONFrom implements jsonv2.UnmarshalerFrom.
func (row *exportRow) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if kind := d.PeekKind(); kind != '{' {
		return errNoOrder
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	*row = make(exportRow, len(exported))
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(exported, func(c schema.Column) bool { return c.Name == string(name[1:len(name)-1]) })
		if i < 0 {
			if err := d.SkipValue(); err != nil {
				return err
			}
			continue
		}
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		switch token.Kind() {
		case '"', '0':
			(*row)[i] = token.String()
		case 'n':
		default:
			return errNoOrder
		}
	}
	_, err := d.ReadToken()
	return err
}

var errNoOrder = errors.New("not an order")

// cells gives the row as it is written in a dialect.
func (d *dialect) cells(row exportRow) []string {
	for i, c := range exported {
		switch v := row[i]; {
		case v == "" || !c.Cell:
		case c.Kind == schema.Number:
			row[i] = strings.Replace(v, ".", d.decimal, 1)
		default:
			row[i] = safe(d.word(c, v))
		}
	}
	return row
}

// dialect is how a file is written for a spreadsheet in one language.
type dialect struct {
	filename  string
	separator rune
	decimal   string
	heads     []string
	spanish   bool // canonical values are translated
}

// plainCSV is for programs: names and values as in the rest of the API.
var plainCSV = dialect{
	filename: "orders.csv", separator: ',', decimal: ".", heads: headsOf(func(c schema.Column) string { return c.Name }),
}

// spanishCSV is what Excel and LibreOffice in Spanish open with a double click: their list separator is the
// semicolon, because the comma is the decimal one.
var spanishCSV = dialect{
	filename: "pedidos.csv", separator: ';', decimal: ",",
	heads: headsOf(func(c schema.Column) string { return c.Title.ES }), spanish: true,
}

func headsOf(head func(schema.Column) string) []string {
	heads := make([]string, len(exported))
	for i, c := range exported {
		heads[i] = head(c)
	}
	return heads
}

// dialectOf is that of lang, or else of Accept-Language; in Mexico and its neighbours the decimal separator is a point.
func dialectOf(lang, accept string) dialect {
	switch {
	case lang == "en":
		return plainCSV
	case lang == "es":
		return spanishCSV
	case accept == "" || len(accept) > problem.MaxAcceptLanguage:
		return plainCSV
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if _, i, confidence := problem.Languages.Match(tags...); err != nil || i != 0 || confidence == language.No {
		return plainCSV
	}
	d := spanishCSV
	for _, tag := range tags {
		if base, _ := tag.Base(); base.String() != "es" {
			continue
		}
		if region, _ := tag.Region(); slices.Contains(pointRegions, region.String()) {
			d.separator, d.decimal = plainCSV.separator, plainCSV.decimal
		}
		break
	}
	return d
}

// pointRegions are those of Spanish with a decimal point (CLDR 48).
var pointRegions = []string{"419", "DO", "GT", "HN", "MX", "NI", "PA", "PE", "PR", "SV", "US"}

// word translates a value that has a translation.
func (d *dialect) word(c schema.Column, value string) string {
	if d.spanish {
		for _, v := range c.Values {
			if v.Name == value {
				return v.Title.ES
			}
		}
	}
	return value
}

// export streams all orders that match, page after page by cursor, so that neither side holds them
// all. What fails on the first page is a problem; after that only cutting the connection tells.
func (a *ordersAPI) export(w http.ResponseWriter, r *http.Request) error {
	l, err := a.table.Parse(r.URL.RawQuery, listquery.FiltersAndSort)
	if err != nil {
		return err
	}
	query := ordersQuery(&l)
	query.Limit, query.NoTotal = exportPage, true
	rows, next, err := a.exportRows(r.Context(), &query)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	d := dialectOf(l.Lang, r.Header.Get("Accept-Language"))
	w.Header().Add("Vary", "Accept-Language")
	w.Header().Set("Content-Disposition", `attachment; filename="`+d.filename+`"`)
	_, _ = w.Write([]byte(bom)) // csv.Writer reports what fails
	out := csv.NewWriter(w)
	out.UseCRLF = true
	out.Comma = d.separator
	_ = out.Write(d.heads) // Flush reports it
	control := http.NewResponseController(w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(exportWait)) // not supported: no deadline
		for _, row := range rows {
			_ = out.Write(d.cells(row)) // Flush reports it
		}
		if out.Flush(); out.Error() != nil {
			panic(http.ErrAbortHandler) // the client has gone
		}
		if next == "" {
			return nil
		}
		query.After = next
		if rows, next, err = a.exportRows(r.Context(), &query); err != nil {
			access.Of(r.Context()).Cause = fmt.Errorf("export cut off: %w", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// exportRows asks for one page, of as many orders as fit into one message.
func (a *ordersAPI) exportRows(ctx context.Context, query *ordersapi.Query) (rows []exportRow, next string, err error) {
	reply, err := a.Ask(ctx, ordersapi.SubjectList, query)
	if err != nil {
		return nil, "", err
	}
	if err := jsonv2.Unmarshal(reply.Data, &rows, asServicesSend...); err != nil { // unlike encoding/json it tells "Status" from "status"
		return nil, "", fault.Wrap(fault.Internal, problem.ErrInternal, err)
	}
	return rows, reply.Header.Get(ordersapi.HeaderNext), nil
}

var plainNumber = regexp.MustCompile(`^[+-]?\d+([.,]\d+)?$`)

// safe leaves out of a cell the control characters that no CSV has, which other programs take for the
// end of the text or of the file, and keeps a spreadsheet from running it as a formula (CWE-1236).
func safe(cell string) string {
	s := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' {
			return -1
		}
		return r
	}, cell)
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) && !plainNumber.MatchString(s) {
		return "'" + s
	}
	return s
}
