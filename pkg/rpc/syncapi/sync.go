// Package syncapi is the contract between the gateway and airtable-sync: its subjects, requests and replies.
package syncapi

import (
	"time"

	"github.com/resonance/resonance/pkg/columns"
	"github.com/resonance/resonance/pkg/fault"
)

// Subjects of airtable-sync. Only the active syncer listens: no responders means that none is active.
const (
	SubjectRun    = "airtable-sync.run"    // RunRequest → RunAccepted
	SubjectStatus = "airtable-sync.status" // StatusRequest → Status
	SubjectPing   = "airtable-sync.ping"   // Ping → nothing; Forbidden if Airtable did not send it
	SubjectFile   = "airtable-sync.file"   // FileRef → a part of the file; HeaderSize, HeaderContentType; NotFound, TooLarge
)

// SubjectColumns reads the table's metadata again, unless that was done a moment ago or costs calls that are needed
// for more: nothing → columns.Source. It is for who meets a choice that the columns do not offer.
const SubjectColumns = "airtable-sync.columns"

// HeaderSize is a reply header: how many bytes the whole file has, a decimal.
const HeaderSize = "Size"

// FileRef asks for a part of an order's attachment. The reply holds bytes from Offset on, as many as
// fit into a message; none at the end of the file.
type FileRef struct {
	RecordID   string `json:"record_id"`
	Attachment string `json:"attachment"`          // Airtable's id
	Thumbnail  string `json:"thumbnail,omitempty"` // one of FileThumbnails; "" for the file itself
	Offset     int64  `json:"offset,omitempty"`
}

// FileThumbnails are the sizes in which Airtable has the pictures among attachments.
var FileThumbnails = []string{"small", "large", "full"}

// Mode is how a run finds changes.
type Mode string

// Modes, best first. Auto leaves the choice to the syncer.
const (
	Auto        Mode = "auto"
	Webhook     Mode = "webhook"
	Incremental Mode = "incremental"
	Full        Mode = "full"
)

// RunRequest asks for a run. A run that has not begun yet is shared by all who ask for it.
type RunRequest struct {
	Mode             Mode `json:"mode,omitempty"`
	ConfirmDeletions bool `json:"confirm_deletions,omitempty"` // carry out deletions that are held (invariant 6)
}

// RunAccepted names the run that serves a RunRequest.
type RunAccepted struct {
	RunID string `json:"run_id"`
}

// Ping is a notification of Airtable's webhook as it came in: Body byte by byte, MAC the header
// X-Airtable-Content-MAC.
type Ping struct {
	Body []byte `json:"body"`
	MAC  string `json:"mac"`
}

// StatusRequest asks how the sync stands. With RunID the answer waits until that run has ended,
// but no longer than the request's own deadline allows.
type StatusRequest struct {
	RunID string `json:"run_id,omitempty"`
}

// RunState is where a run stands.
type RunState string

// States of a run.
const (
	Running   RunState = "running"
	Succeeded RunState = "succeeded"
	Failed    RunState = "failed"
)

// Run is one run of the sync.
type Run struct {
	ID         string     `json:"id"`
	Mode       Mode       `json:"mode"`
	ModeReason fault.Text `json:"mode_reason,omitzero" doc:"why the run has this mode"`
	Trigger    string     `json:"trigger" doc:"start, interval, request or ping"`
	State      RunState   `json:"state" enum:"running,succeeded,failed"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	Reason     fault.Text `json:"reason,omitzero" doc:"why the run failed"`
	Progress   Progress   `json:"progress"`
	Created    int        `json:"created"`
	Updated    int        `json:"updated"`
	Deleted    int        `json:"deleted"`
	Unchanged  int        `json:"unchanged"`
	APICalls   int        `json:"api_calls"`
}

// Progress is how far a run has come. Expected is the number of orders known before it, 0 when unknown.
type Progress struct {
	Records  int     `json:"records"`
	Expected int     `json:"expected"`
	Percent  float64 `json:"percent" doc:"0 to 100"`
}

// Held are deletions that wait for somebody to confirm them (invariant 6).
type Held struct {
	Count int `json:"count"`
	Known int `json:"known"`
}

// ScanMark says that all of Airtable, as a complete scan and the runs after it found it, is in the stream up to Through.
// It means nothing where the stream has another message there: sequences are used again after a crash.
type ScanMark struct {
	StreamCreated time.Time `json:"stream_created"`
	Through       uint64    `json:"through"`
	MessageID     string    `json:"message_id" doc:"of the message at through"`
	Confirmed     bool      `json:"confirmed,omitempty"` // somebody confirmed what deletions follow from it (invariant 6)
}

// OrderProblem is an order that is published in part or not at all.
type OrderProblem struct {
	RecordID string     `json:"record_id"`
	Reason   fault.Text `json:"reason"`
}

// Status is how the sync stands.
type Status struct {
	Mode            Mode       `json:"mode" doc:"how scheduled runs find changes"`
	ModeReason      fault.Text `json:"mode_reason,omitzero" doc:"why it is not a better mode"`
	State           string     `json:"state" enum:"idle,running"`
	Degraded        fault.Text `json:"degraded,omitzero" doc:"why the sync does not work; absent if it does"`
	Instance        string     `json:"instance" doc:"the active syncer"`
	IntervalSeconds float64    `json:"interval_seconds" doc:"of scheduled runs, as it is in force"`
	IntervalReason  fault.Text `json:"interval_reason,omitzero" doc:"why it is not the configured one, or why there are no scheduled runs"`
	NextRunAt       *time.Time `json:"next_run_at,omitempty"`
	LagSeconds      *float64   `json:"lag_seconds,omitempty" doc:"since the start of the last successful run"`
	Current         *Run       `json:"current,omitempty"`
	Last            *Run       `json:"last,omitempty"`
	Recent          []Run      `json:"recent,omitempty"`
	HeldDeletions   *Held      `json:"held_deletions,omitempty"`
	Orders          int        `json:"orders" doc:"orders known to be in Airtable"`

	OrderProblems []OrderProblem `json:"order_problems,omitempty" doc:"orders that are published truncated or not at all; twenty at most"`

	APICalls APICalls   `json:"api_calls"`
	Scan     *ScanMark  `json:"scan,omitempty"`
	Edits    EditsState `json:"edits"`
	Hook     *Hook      `json:"webhook,omitempty"`
	Budget   *Budget    `json:"budget,omitempty"`

	// Columns are how the orders' columns are read; SchemaReason says why that is not by the base's present schema.
	Columns      []columns.Column `json:"columns,omitempty" doc:"which fields the orders' columns are read from, and what to know about that"`
	SchemaReason fault.Text       `json:"schema_reason,omitzero"`
}

// Hook is the webhook that the sync keeps in Airtable.
type Hook struct {
	ID       string     `json:"id"`
	URL      string     `json:"url,omitempty" doc:"where Airtable pings; absent if it is only polled"`
	Cursor   int64      `json:"cursor" doc:"of the next payload"`
	Expires  time.Time  `json:"expires_at" doc:"unless it is polled or refreshed before, which it is"`
	LastPing *time.Time `json:"last_ping_at,omitempty"`
}

// Budget is what the month's calls of Airtable's API are spent on. Months are UTC's.
type Budget struct {
	Month     string         `json:"month" doc:"YYYY-MM"`
	Since     time.Time      `json:"since" doc:"from when on calls are counted"`
	Calls     int            `json:"calls"`
	ByKind    map[string]int `json:"by_kind"`
	Limit     int            `json:"limit,omitempty" doc:"AIRTABLE_MONTHLY_LIMIT; absent if unknown or unlimited"`
	Exhausted bool           `json:"exhausted,omitempty" doc:"Airtable refuses for the rest of the month"`
	// PacePerDay and Projected follow from the interval in force and from the last 24 hours.
	PacePerDay float64 `json:"pace_per_day"`
	Projected  int     `json:"projected" doc:"calls by the end of the month"`
	// SuggestedIntervalSeconds is the shortest interval that stays within Limit, 0 without one.
	SuggestedIntervalSeconds float64    `json:"suggested_interval_seconds,omitempty"`
	Warning                  fault.Text `json:"warning,omitzero"`
}

// EditsState is how the edits stand that Airtable has not taken yet.
type EditsState struct {
	Pending       int        `json:"pending"`
	OldestSeconds *float64   `json:"oldest_seconds,omitempty" doc:"since the oldest of them was accepted"`
	Error         fault.Text `json:"error,omitzero" doc:"why they are not being written; absent if they are"`
}

// APICalls counts calls of Airtable's API since the active syncer took over.
type APICalls struct {
	Total  int            `json:"total"`
	ByKind map[string]int `json:"by_kind"`
}
