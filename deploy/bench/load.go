package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// load is what a closed loop of requests measured.
type load struct {
	perSecond float64
	p50, p99  time.Duration
}

// hammer sends GET target on each of n connections, one request after the other, for d. Any answer
// but 200 is an error.
func hammer(ctx context.Context, target, token string, n int, d time.Duration) (load, error) {
	u, err := url.Parse(target)
	if err != nil {
		return load{}, err
	}
	request := []byte(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: application/json\r\n\r\n",
		u.RequestURI(), u.Host, token))
	l, err := together(ctx, n, d, func(ctx context.Context) ([]time.Duration, error) { return one(ctx, u.Host, request) })
	if err != nil {
		return load{}, fmt.Errorf("%s: %w", target, err)
	}
	return l, nil
}

// loop does something n at a time, one after another, for d.
func loop(ctx context.Context, n int, d time.Duration, do func(context.Context) error) (load, error) {
	return together(ctx, n, d, func(until context.Context) (took []time.Duration, err error) {
		for until.Err() == nil {
			began := time.Now()
			if err := do(ctx); err != nil {
				return nil, err
			}
			took = append(took, time.Since(began))
		}
		return took, nil
	})
}

// together sums up what n workers measure until d is over.
func together(ctx context.Context, n int, d time.Duration, work func(context.Context) ([]time.Duration, error)) (load, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var (
		mu   sync.Mutex
		all  []time.Duration
		errs []error
		wg   sync.WaitGroup
	)
	began := time.Now()
	for range n {
		wg.Go(func() {
			took, err := work(ctx)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			errs = append(errs, err)
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return load{}, err
	}
	slices.Sort(all)
	if len(all) == 0 {
		return load{}, fmt.Errorf("no answer in %s", d)
	}
	return load{
		perSecond: float64(len(all)) / elapsed.Seconds(),
		p50:       all[len(all)/2], p99: all[len(all)*99/100],
	}, nil
}

func one(ctx context.Context, host string, request []byte) ([]time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	var took []time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusOK {
			return nil, errors.New(res.Status)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// median returns the middle of an odd number of measurements by requests a second.
func median(ls []load) load {
	slices.SortFunc(ls, func(a, b load) int {
		if a.perSecond < b.perSecond {
			return -1
		}
		return 1
	})
	return ls[len(ls)/2]
}
