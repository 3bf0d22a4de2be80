package api

import (
	"context"
	"encoding/csv"
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

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/ordersapi"
)

const (
	bom = "\ufeff"
	// exportPage is how many orders are asked for at once.
	exportPage = 1000
	// exportWait is how long one page may take to be read by the client.
	exportWait = 30 * time.Second
)

// exportRow is one order, as much of it as goes into the file.
type exportRow struct {
	RecordID  string         `json:"record_id"`
	Name      *string        `json:"name"`
	Customer  *string        `json:"customer"`
	Status    *string        `json:"status"`
	Priority  *string        `json:"priority"`
	Amount    jsontext.Value `json:"amount"`
	OrderDate *string        `json:"order_date"`
	CreatedAt string         `json:"created_at"`
	UpdatedAt string         `json:"updated_at"`
}

func (o exportRow) cells(d dialect) []string {
	amount := ""
	if o.Amount.Kind() == '0' { // as it was written
		amount = strings.Replace(string(o.Amount), ".", d.decimal, 1)
	}
	return []string{
		o.RecordID, safe(o.Name), safe(o.Customer), safe(d.word(o.Status)), safe(d.word(o.Priority)), amount, safe(o.OrderDate), o.CreatedAt, o.UpdatedAt,
	}
}

// dialect is how a file is written for a spreadsheet in one language.
type dialect struct {
	filename  string
	separator rune
	decimal   string
	heads     []string
	words     map[string]string // of status and priority
}

// plainCSV is for programs: names and values as in the rest of the API.
var plainCSV = dialect{filename: "orders.csv", separator: ',', decimal: ".", heads: orderColumns}

// spanishCSV is what Excel and LibreOffice in Spanish open with a double click: their list separator is the
// semicolon, because the comma is the decimal one.
var spanishCSV = dialect{
	filename: "pedidos.csv", separator: ';', decimal: ",",
	heads: []string{"Id. de registro", "Pedido", "Cliente", "Estado", "Prioridad", "Importe", "Fecha", "Creado", "Modificado"},
	words: map[string]string{
		"Pending": "Pendiente", "Processing": "En proceso", "Sent": "Enviado", "Delivered": "Entregado", "Cancelled": "Cancelado",
		"Low": "Baja", "Medium": "Media", "High": "Alta",
	},
}

// dialectOf is that of lang, or else of Accept-Language; in Mexico and its neighbours the decimal separator is a point.
func dialectOf(lang, accept string) dialect {
	switch {
	case lang == "en":
		return plainCSV
	case lang == "es":
		return spanishCSV
	case accept == "" || len(accept) > maxAcceptLanguage:
		return plainCSV
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if _, i, confidence := languages.Match(tags...); err != nil || i != 0 || confidence == language.No {
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
func (d *dialect) word(v *string) *string {
	if v == nil {
		return nil
	}
	if word, ok := d.words[*v]; ok {
		return &word
	}
	return v
}

// export streams all orders that match, page after page by cursor, so that neither side holds them
// all. What fails on the first page is a problem; after that only cutting the connection tells.
func (a *API) export(w http.ResponseWriter, r *http.Request) error {
	l, err := a.orders.parse(r.URL.RawQuery, filtersAndSort)
	if err != nil {
		return err
	}
	query := l.orders()
	query.Limit, query.NoTotal = exportPage, true
	rows, next, err := a.exportRows(r.Context(), &query)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	d := dialectOf(l.lang, r.Header.Get("Accept-Language"))
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
			_ = out.Write(row.cells(d)) // Flush reports it
		}
		if out.Flush(); out.Error() != nil {
			panic(http.ErrAbortHandler) // the client has gone
		}
		if next == "" {
			return nil
		}
		query.After = next
		if rows, next, err = a.exportRows(r.Context(), &query); err != nil {
			exchangeOf(r.Context()).cause = fmt.Errorf("export cut off: %w", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// exportRows asks for one page, of as many orders as fit into one message.
func (a *API) exportRows(ctx context.Context, query *ordersapi.Query) (rows []exportRow, next string, err error) {
	reply, err := a.ask(ctx, ordersapi.SubjectList, query)
	if err != nil {
		return nil, "", err
	}
	if err := jsonv2.Unmarshal(reply.Data, &rows, asServicesSend...); err != nil { // unlike encoding/json it tells "Status" from "status"
		return nil, "", fault.Wrap(fault.Internal, errInternal, err)
	}
	return rows, reply.Header.Get(ordersapi.HeaderNext), nil
}

var plainNumber = regexp.MustCompile(`^[+-]?\d+([.,]\d+)?$`)

// safe leaves out of a cell the control characters that no CSV has, which other programs take for the
// end of the text or of the file, and keeps a spreadsheet from running it as a formula (CWE-1236).
func safe(cell *string) string {
	if cell == nil {
		return ""
	}
	s := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' {
			return -1
		}
		return r
	}, *cell)
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) && !plainNumber.MatchString(s) {
		return "'" + s
	}
	return s
}
