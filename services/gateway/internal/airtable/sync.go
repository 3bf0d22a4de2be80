// Package airtable serves the sync with Airtable over HTTP, and receives its pings.
package airtable

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/resonance/resonance/pkg/fault"
	"github.com/resonance/resonance/pkg/rpc/syncapi"
	"github.com/resonance/resonance/services/gateway/internal/auth"
	"github.com/resonance/resonance/services/gateway/internal/listquery"
	"github.com/resonance/resonance/services/gateway/internal/orders"
	"github.com/resonance/resonance/services/gateway/internal/problem"
	"github.com/resonance/resonance/services/gateway/internal/route"
)

// syncSlice is how long one question for the end of a run may take: a syncer that has died is
// noticed that soon.
const syncSlice = 10 * time.Second

// SyncRequest is what POST /api/orders/sync takes.
type SyncRequest struct {
	Mode             syncapi.Mode `json:"mode,omitempty" enum:"auto,incremental,full" doc:"default auto"`
	ConfirmDeletions bool         `json:"confirm_deletions,omitempty" doc:"carry out deletions that are held because so many orders were gone at once"`
}

// SyncAccepted names a run that goes on.
type SyncAccepted struct {
	RunID string `json:"run_id"`
	Run   *Run   `json:"run,omitempty" doc:"absent if it has not begun"`
}

// Run is syncapi.Run with its reasons in the caller's language.
type Run struct {
	syncapi.Run
	Reason     string `json:"reason,omitempty" doc:"why the run failed"`
	ModeReason string `json:"mode_reason,omitempty" doc:"why the run has this mode"`
}

// SyncState is syncapi.Status with its reasons in the caller's language.
type SyncState struct {
	syncapi.Status
	Degraded       string  `json:"degraded,omitempty" doc:"why the sync does not work; absent if it does"`
	ModeReason     string  `json:"mode_reason,omitempty" doc:"why it is not a better mode"`
	IntervalReason string  `json:"interval_reason,omitempty" doc:"why it is not the configured one, or why there are no scheduled runs"`
	Current        *Run    `json:"current,omitempty"`
	Last           *Run    `json:"last,omitempty"`
	Recent         []Run   `json:"recent,omitempty"`
	Budget         *Budget `json:"budget,omitempty" doc:"what the month's calls of Airtable's API are spent on"`
	Edits          Edits   `json:"edits" doc:"those that Airtable has not taken yet"`

	OrderProblems []OrderProblem `json:"order_problems,omitempty" doc:"orders that are published truncated or not at all; twenty at most"`

	Columns      []orders.Column `json:"columns,omitempty" doc:"which fields of Airtable the orders' columns are read from, with notes where that needs attention"`
	SchemaReason string          `json:"schema_reason,omitempty" doc:"why the columns are not read by the base's present schema; absent if they are"`
}

// OrderProblem is syncapi.OrderProblem with its reason in the caller's language.
type OrderProblem struct {
	syncapi.OrderProblem
	Reason string `json:"reason"`
}

// Edits is syncapi.EditsState with its error in the caller's language.
type Edits struct {
	syncapi.EditsState
	Error string `json:"error,omitempty" doc:"why they wait"`
}

// Budget is syncapi.Budget with its warning in the caller's language.
type Budget struct {
	syncapi.Budget
	Warning string `json:"warning,omitempty"`
}

func runIn(lang string, r *syncapi.Run) *Run {
	if r == nil {
		return nil
	}
	return &Run{Run: *r, Reason: r.Reason.In(lang), ModeReason: r.ModeReason.In(lang)}
}

func stateIn(lang string, s syncapi.Status) SyncState {
	out := SyncState{
		Status: s, Degraded: s.Degraded.In(lang), ModeReason: s.ModeReason.In(lang), IntervalReason: s.IntervalReason.In(lang),
		SchemaReason: s.SchemaReason.In(lang),
		Current:      runIn(lang, s.Current), Last: runIn(lang, s.Last), Edits: Edits{EditsState: s.Edits, Error: s.Edits.Error.In(lang)},
	}
	if s.Budget != nil {
		out.Budget = &Budget{Budget: *s.Budget, Warning: s.Budget.Warning.In(lang)}
	}
	for i := range s.Columns {
		out.Columns = append(out.Columns, orders.ColumnIn(lang, &s.Columns[i]))
	}
	for i := range s.Recent {
		out.Recent = append(out.Recent, *runIn(lang, &s.Recent[i]))
	}
	for _, p := range s.OrderProblems {
		out.OrderProblems = append(out.OrderProblems, OrderProblem{p, p.Reason.In(lang)})
	}
	return out
}

// airtable serves the sync with Airtable, and takes its pings.
type airtable struct {
	*route.Routes
	forged *auth.Brake // on pings that are not Airtable's
}

// Register adds the routes of the sync and of Airtable's webhook.
func Register(r *route.Routes) {
	a := &airtable{r, auth.NewBrake(time.Now, 60, 100*time.Millisecond)}
	a.syncRoutes()
	a.webhookRoutes()
}

func (a *airtable) syncRoutes() {
	responses := route.OK[Run](a.Routes, "The run has ended; state and reason say how", *runIn("es", &exampleRun))
	responses["202"] = &huma.Response{
		Description: "The run goes on; GET /api/orders/sync shows how it stands",
		Content: map[string]*huma.MediaType{
			"application/json": {Schema: route.SchemaOf[SyncAccepted](a.Routes), Example: route.AsJSON(SyncAccepted{RunID: exampleRun.ID})},
		},
		Headers: map[string]*huma.Param{
			"Location":           {Schema: &huma.Schema{Type: huma.TypeString}},
			"Preference-Applied": {Schema: &huma.Schema{Type: huma.TypeString}},
		},
	}
	route.Register(a.Routes, huma.Operation{
		OperationID: "syncNow", Method: http.MethodPost, Path: "/api/orders/sync", Tags: []string{"sync"},
		Summary:     "Sync with Airtable now",
		Description: "Waits until the run has ended. With Prefer: respond-async it does not wait. 503 when no syncer is active.",
		Responses:   responses, MaxBodyBytes: -1, // limitBody limits it
		Errors: route.AskErrors(http.StatusUnsupportedMediaType),
	}, auth.Operator, a.syncNow)
	a.Add(huma.Operation{
		OperationID: "syncState", Method: http.MethodGet, Path: "/api/orders/sync", Tags: []string{"sync"},
		Summary: "How the sync stands", Responses: route.OK[SyncState](a.Routes, "The state, with the progress of a run under way", stateIn("es", exampleSync)),
		Errors: route.AskErrors(),
	}, auth.Viewer, func(w http.ResponseWriter, r *http.Request) error {
		if err := listquery.None(r); err != nil {
			return err
		}
		state, err := a.syncState(r.Context(), "", route.Timeout)
		if err != nil {
			return err
		}
		w.Header()["Content-Type"] = route.JSONType
		w.Header().Add("Vary", "Accept-Language")
		_ = json.NewEncoder(w).Encode(stateIn(problem.Language(r.Header.Get("Accept-Language")), state)) // the client has gone
		return nil
	})
}

// syncInput is the body and the preference of a request for a run.
type syncInput struct {
	Prefer string `header:"Prefer" maxLength:"200" doc:"respond-async: do not wait for the end" example:"respond-async"`
	Body   *SyncRequest

	control *http.ResponseController
	lang    string
}

// Resolve is called by huma; waiting must outlive the server's deadlines.
func (in *syncInput) Resolve(ctx huma.Context) []error {
	_, w := humachi.Unwrap(ctx)
	in.control = http.NewResponseController(w)
	in.lang = problem.Language(ctx.Header("Accept-Language"))
	_ = in.control.SetReadDeadline(time.Time{}) // the body is read; else its deadline would end the wait
	return nil
}

type syncOutput struct {
	Status     int
	Location   string `header:"Location" hidden:"true"` // documented for the 202 only
	Preference string `header:"Preference-Applied" hidden:"true"`
	Body       any
}

func (a *airtable) syncNow(ctx context.Context, in *syncInput) (*syncOutput, error) {
	var req syncapi.RunRequest
	if in.Body != nil {
		req = syncapi.RunRequest{Mode: in.Body.Mode, ConfirmDeletions: in.Body.ConfirmDeletions}
	}
	reply, err := a.Ask(ctx, syncapi.SubjectRun, req)
	if err != nil {
		return nil, err
	}
	var accepted syncapi.RunAccepted
	if err := json.Unmarshal(reply.Data, &accepted); err != nil {
		return nil, fault.Wrap(fault.Internal, problem.ErrInternal, err)
	}
	if _, async := route.Preference([]string{in.Prefer}, "respond-async"); async {
		state, err := a.syncState(ctx, "", route.Timeout)
		if err != nil {
			return nil, err
		}
		out := goesOn(accepted.RunID, runIn(in.lang, findRun(state, accepted.RunID)))
		out.Preference = "respond-async"
		return out, nil
	}
	return a.awaitRun(ctx, accepted.RunID, in)
}

var errInterrupted = &fault.Error{
	Code:       fault.Unavailable,
	Detail:     fault.T("El sincronizador se detuvo antes de terminar; otro lo continuará", "The syncer stopped before the end; another will go on"),
	RetryAfter: 5 * time.Second,
}

// awaitRun asks slice by slice until the run has ended, the client goes, or this process drains.
func (a *airtable) awaitRun(ctx context.Context, runID string, in *syncInput) (*syncOutput, error) {
	ctx, cancel := a.UntilDraining(ctx)
	defer cancel()
	for {
		asked := time.Now()
		_ = in.control.SetWriteDeadline(time.Now().Add(2 * syncSlice)) // not supported: no deadline
		state, err := a.syncState(ctx, runID, syncSlice)
		if errors.Is(context.Cause(ctx), route.ErrDraining) {
			return goesOn(runID, nil), nil
		}
		if err != nil {
			return nil, err
		}
		run := findRun(state, runID)
		if run != nil && run.State != syncapi.Running {
			return &syncOutput{Status: http.StatusOK, Body: runIn(in.lang, run)}, nil
		}
		if run == nil && time.Since(asked) < syncSlice/2 { // a syncer that knows the run waits for it
			return nil, errInterrupted
		}
	}
}

func (a *airtable) syncState(ctx context.Context, runID string, wait time.Duration) (syncapi.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var state syncapi.Status
	reply, err := a.Services.Ask(ctx, syncapi.SubjectStatus, syncapi.StatusRequest{RunID: runID})
	if err != nil {
		return state, err
	}
	if err := json.Unmarshal(reply.Data, &state); err != nil {
		return state, fault.Wrap(fault.Internal, problem.ErrInternal, err)
	}
	return state, nil
}

func goesOn(runID string, run *Run) *syncOutput {
	return &syncOutput{Status: http.StatusAccepted, Location: "/api/orders/sync", Body: SyncAccepted{RunID: runID, Run: run}}
}

func findRun(s syncapi.Status, id string) *syncapi.Run {
	for _, run := range []*syncapi.Run{s.Current, s.Last} {
		if run != nil && run.ID == id {
			return run
		}
	}
	for i := range s.Recent {
		if s.Recent[i].ID == id {
			return &s.Recent[i]
		}
	}
	return nil
}

var exampleRun = syncapi.Run{
	ID: "r7Q2", Mode: syncapi.Incremental, Trigger: "request", State: syncapi.Succeeded, StartedAt: route.ExampleTime, FinishedAt: new(route.ExampleTime.Add(2 * time.Second)),
	Progress: syncapi.Progress{Records: 3, Expected: 2000, Percent: 100}, Updated: 3, APICalls: 1,
}

var exampleSync = syncapi.Status{
	Mode: syncapi.Incremental, ModeReason: fault.T("el token no puede gestionar webhooks", "the token may not manage webhooks"), State: "idle", Instance: "sync-1", IntervalSeconds: 300,
	NextRunAt: new(route.ExampleTime.Add(5 * time.Minute)), LagSeconds: new(2.5), Last: &exampleRun, Orders: 2000,
	APICalls: syncapi.APICalls{Total: 42, ByKind: map[string]int{"list": 41, "meta": 1}},
	Budget: &syncapi.Budget{
		Month: "2026-11", Since: route.ExampleTime, Calls: 910, ByKind: map[string]int{"list": 900, "meta": 10}, Limit: 1000,
		PacePerDay: 280, Projected: 8500, SuggestedIntervalSeconds: 26000,
		Warning: fault.T("a este ritmo las llamadas del mes se acaban en unas horas", "at this pace the month's calls are used up within hours"),
	},
}
