// Package chaos holds a test and nothing else: while people edit orders over HTTP and in Airtable,
// it kills the services and NATS servers at random, and at the end nothing may be lost
// (invariants 1, 6, 7 and 8). It runs for some seconds with the other tests, and whole as `make chaos`.
package chaos
