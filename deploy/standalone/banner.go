package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/resonance/resonance/pkg/service"
	airtabletest "github.com/resonance/resonance/sandbox/airtable"
	odootest "github.com/resonance/resonance/sandbox/odoo"
)

// banner is what `make run` tells its user once everything is ready.
type banner struct {
	Took                  time.Duration
	DataDir               string
	UsersFile             string
	HTTPAddr              string
	AdminUsername         string
	Password              string // made now, and shown this once; "" when it was set or made before
	FromEnv               bool
	NATS, NATSDir         string // Dir is empty where the server is not ours
	NATSNkey, NATSCA      string // of other programs; the CA is empty without TLS
	Postgres, PostgresDir string
	Airtable              string
	Sandbox               *airtabletest.Config
	Odoo                  string
	OdooSandbox           *odootest.Config
	Troubles              []string // what does not work, although all is there
}

const english = `
Resonance is ready ({{.Took}}).

  Admin      http://{{.HTTPAddr}}
  API        http://{{.HTTPAddr}}/docs
  Login      {{if .Password}}{{.AdminUsername}} / {{.Password}}   (made just now and shown only once)
{{- else if .FromEnv}}{{.AdminUsername}}, with ADMIN_PASSWORD
{{- else}}{{.AdminUsername}}, with the password shown at the first start (remove {{.UsersFile}} for a new one, or set ADMIN_PASSWORD){{end}}
  Events     {{.NATS}}   ({{if .NATSDir}}embedded NATS, data in {{.NATSDir}}{{else}}yours{{end}})
{{- if .NATSNkey}}
             nats context add resonance --server {{.NATS}} --nkey '{{.NATSNkey}}'{{with .NATSCA}} --tlsca '{{.}}'{{end}} --select
{{- end}}
             nats sub 'order.changed.>'
  Database   {{if .PostgresDir}}local Postgres, data in {{.PostgresDir}}   (psql '{{.Postgres}}'){{else}}yours (DATABASE_URL){{end}}
{{- with .Sandbox}}
  Airtable   {{$.Airtable}}   SANDBOX with {{.Orders}} sample orders, since AIRTABLE_API_KEY is not set
             AIRTABLE_ENDPOINT_URL={{$.Airtable}} AIRTABLE_API_KEY={{.APIKey}} AIRTABLE_BASE_ID={{.BaseID}} AIRTABLE_TABLE_ID={{.TableID}}
{{- else}}
  Airtable   {{.Airtable}}   (yours)
{{- end}}
{{- with .OdooSandbox}}
  Odoo       {{$.Odoo}}   SANDBOX of Odoo {{.Version}} with sample data, since ODOO_URL is not set; it forgets changes when it stops
             ODOO_URL={{$.Odoo}} ODOO_DB={{.Database}} ODOO_USERNAME={{(index .Users 0).Login}} ODOO_PASSWORD={{(index .Users 0).APIKey}}
{{- else}}
  Odoo       {{.Odoo}}   (yours)
{{- end}}
{{- range .Troubles}}

  ATTENTION  Orders are not synced: {{.}}
{{- end}}

Ctrl-C drains and stops; a second one stops at once.
`

const spanish = `
Resonance está listo ({{.Took}}).

  Administración http://{{.HTTPAddr}}
  API            http://{{.HTTPAddr}}/docs
  Acceso         {{if .Password}}{{.AdminUsername}} / {{.Password}}   (recién creado; no se vuelve a mostrar)
{{- else if .FromEnv}}{{.AdminUsername}}, con ADMIN_PASSWORD
{{- else}}{{.AdminUsername}}, con la contraseña del primer arranque (borre {{.UsersFile}} para otra, o defina ADMIN_PASSWORD){{end}}
  Eventos        {{.NATS}}   ({{if .NATSDir}}NATS incorporado, datos en {{.NATSDir}}{{else}}el suyo{{end}})
{{- if .NATSNkey}}
                 nats context add resonance --server {{.NATS}} --nkey '{{.NATSNkey}}'{{with .NATSCA}} --tlsca '{{.}}'{{end}} --select
{{- end}}
                 nats sub 'order.changed.>'
  Base de datos  {{if .PostgresDir}}Postgres local, datos en {{.PostgresDir}}   (psql '{{.Postgres}}'){{else}}la suya (DATABASE_URL){{end}}
{{- with .Sandbox}}
  Airtable       {{$.Airtable}}   SIMULADO, con {{.Orders}} pedidos de muestra, porque AIRTABLE_API_KEY no está definida
                 AIRTABLE_ENDPOINT_URL={{$.Airtable}} AIRTABLE_API_KEY={{.APIKey}} AIRTABLE_BASE_ID={{.BaseID}} AIRTABLE_TABLE_ID={{.TableID}}
{{- else}}
  Airtable       {{.Airtable}}   (el suyo)
{{- end}}
{{- with .OdooSandbox}}
  Odoo           {{$.Odoo}}   SIMULADO (Odoo {{.Version}}), con datos de muestra, porque ODOO_URL no está definida; al parar olvida los cambios
                 ODOO_URL={{$.Odoo}} ODOO_DB={{.Database}} ODOO_USERNAME={{(index .Users 0).Login}} ODOO_PASSWORD={{(index .Users 0).APIKey}}
{{- else}}
  Odoo           {{.Odoo}}   (el suyo)
{{- end}}
{{- range .Troubles}}

  ATENCIÓN       Los pedidos no se sincronizan: {{.}}
{{- end}}

Ctrl-C termina lo que esté en curso y para; un segundo Ctrl-C para al instante.
`

// firstAnswer is how long the banner waits for Airtable to have answered.
const firstAnswer = 5 * time.Second

// printWhenReady waits until every check passes, then prints the banner on stdout, in Spanish
// where the user's locale is.
func (b *banner) printWhenReady(ctx context.Context, health *service.Health, began time.Time) {
	for {
		if _, ready := health.Ready(ctx); ready {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	troubles := health.Troubles(ctx)
	for began := time.Now(); len(troubles) > 0 && time.Since(began) < firstAnswer; troubles = health.Troubles(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	b.Took = time.Since(began).Round(100 * time.Millisecond)
	b.FromEnv = os.Getenv("ADMIN_PASSWORD") != ""
	text, lang := english, "en"
	for _, v := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := os.Getenv(v); locale != "" {
			if strings.HasPrefix(locale, "es") {
				text, lang = spanish, "es"
			}
			break
		}
	}
	for _, name := range slices.Sorted(maps.Keys(troubles)) {
		b.Troubles = append(b.Troubles, troubles[name].In(lang))
	}
	var out strings.Builder
	if err := template.Must(template.New("banner").Parse(text)).Execute(&out, b); err != nil {
		out.WriteString(err.Error())
	}
	fmt.Println(out.String())
}
