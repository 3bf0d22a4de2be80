package airtabletest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	airtabletest "github.com/resonance/resonance/sandbox/airtable"
)

// ping is what a notification URL got.
type ping struct {
	mac  string
	body []byte
}

// receiver is a notification URL that answers with status, if that is not 0.
func receiver(t *testing.T) (url string, pings chan ping, status *atomic.Int32) {
	t.Helper()
	pings, status = make(chan ping, 100), &atomic.Int32{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if code := status.Load(); code != 0 {
			w.WriteHeader(int(code))
		} else {
			w.WriteHeader(http.StatusNoContent)
		}
		pings <- ping{r.Header.Get("X-Airtable-Content-Mac"), body}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, pings, status
}

func next[T any](t *testing.T, c chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}

// until polls for what happens elsewhere.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func TestPings(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1, PingRetry: time.Millisecond})
	url, pings, status := receiver(t)
	a := c.do(http.MethodPost, c.hooks(), spec(url, tableData(), nil))
	hook := c.hooks() + "/" + fmt.Sprint(a.json["id"])
	secret, _ := base64.StdEncoding.DecodeString(fmt.Sprint(a.json["macSecretBase64"]))
	n := 0
	edit := func() {
		n++
		if err := c.s.UpdateRecord(c.s.RecordIDs()[0], airtabletest.Fields{"Notes": fmt.Sprint(n)}); err != nil {
			t.Fatal(err)
		}
	}
	edit()
	got := next(t, pings)
	mac := hmac.New(sha256.New, secret)
	mac.Write(got.body)
	if want := "hmac-sha256=" + hex.EncodeToString(mac.Sum(nil)); got.mac != want {
		t.Errorf("signed %s, want %s", got.mac, want)
	}
	var body struct {
		Base, Webhook struct{ ID string }
		Timestamp     time.Time
	}
	if err := json.Unmarshal(got.body, &body); err != nil || body.Base.ID != c.s.Config().BaseID || body.Webhook.ID != a.json["id"] || body.Timestamp.IsZero() {
		t.Errorf("body %s: %v", got.body, err)
	}
	until(t, "success shown", func() bool { return c.shown()["lastSuccessfulNotificationTime"] != nil })
	if at(c.shown(), "lastNotificationResult", "success") != true {
		t.Errorf("%v", c.shown())
	}

	status.Store(500)
	edit()
	next(t, pings)
	next(t, pings)
	until(t, "failure shown", func() bool {
		res, _ := c.shown()["lastNotificationResult"].(object)
		return res["success"] == false && res["willBeRetried"] == true && res["retryNumber"].(float64) > 0 && at(res, "error", "message") != ""
	})
	status.Store(200)
	until(t, "retry succeeds", func() bool { return at(c.shown(), "lastNotificationResult", "success") == true })

	if a := c.do(http.MethodPost, hook+"/enableNotifications", object{"enable": false}); a.status != http.StatusOK {
		t.Fatal(a.text)
	}
	if c.shown()["areNotificationsEnabled"] != false {
		t.Error("not switched off")
	}
	for len(pings) > 0 {
		<-pings
	}
	edit()
	c.do(http.MethodPost, hook+"/enableNotifications", object{"enable": true})
	next(t, pings) // of what came meanwhile
	if list, _ := c.payloads(hook, 1); len(list) != 3 {
		t.Errorf("%d payloads", len(list))
	}
}

func TestPingsGivenUp(t *testing.T) {
	t.Parallel()
	c := start(t, airtabletest.Config{Orders: 1, PingRetry: time.Millisecond, PingGiveUp: 20 * time.Millisecond})
	url, pings, status := receiver(t)
	status.Store(302)
	hook := c.watch(spec(url, tableData(), nil))
	for i := range 2 {
		if err := c.s.UpdateRecord(c.s.RecordIDs()[0], airtabletest.Fields{"Notes": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		until(t, "notifications are off", func() bool { return c.shown()["areNotificationsEnabled"] == false })
	}
	if len(pings) < 3 || at(c.shown(), "lastNotificationResult", "willBeRetried") != false || c.shown()["isHookEnabled"] != true {
		t.Errorf("after %d pings: %v", len(pings), c.shown())
	}
	if list, _ := c.payloads(hook, 1); len(list) != 2 {
		t.Errorf("%d payloads", len(list))
	}
}
