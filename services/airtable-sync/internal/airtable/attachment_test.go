package airtable

import "testing"

// Whoever edits the base chooses an attachment's address, and must not reach other services through it.
func TestOnlyAirtablesAddresses(t *testing.T) {
	t.Parallel()
	cloud := New(Config{Endpoint: "https://api.airtable.com"})
	sandbox := New(Config{Endpoint: "http://127.0.0.1:9001/"})
	for address, want := range map[string]bool{
		"https://v5.airtableusercontent.com/v3/u/1/1/17/a/b": true,
		"https://dl.airtable.com/.attachments/a/b.png":       true,
		"https://V5.AirtableUserContent.com:443/a":           true,
		"http://v5.airtableusercontent.com/a":                false,
		"https://v5.airtableusercontent.com:22/a":            false,
		"https://airtableusercontent.com.evil.example/a":     false,
		"https://evilairtableusercontent.com/a":              false,
		"https://user@v5.airtableusercontent.com/a":          false,
		"https://evil.example/v5.airtableusercontent.com":    false,
		"https://evil.example\\.airtable.com/":               false,
		"http://169.254.169.254/latest/meta-data":            false,
		"http://127.0.0.1:9001/.attachments/a":               false,
		"file:///etc/passwd":                                 false,
		"//v5.airtableusercontent.com/a":                     false,
		"":                                                   false,
	} {
		if got := cloud.ours(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
	for address, want := range map[string]bool{
		"http://127.0.0.1:9001/.attachments/a": true, "http://127.0.0.1:9002/.attachments/a": false, "https://127.0.0.1:9001/a": false,
	} {
		if got := sandbox.ours(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}
