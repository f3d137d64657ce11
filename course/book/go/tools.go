package week7

import (
	"bytes"
	"context"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/pprof"
)

// ANCHOR: dump
func whatGoesOn() string {
	stacks := make([]byte, 1<<20)
	return string(stacks[:runtime.Stack(stacks, true)])
}

// ANCHOR_END: dump

// ANCHOR: labels
func handle(request string, work func()) {
	labels := pprof.Labels("request", request)
	pprof.Do(context.Background(), labels,
		func(context.Context) { work() })
}

// ANCHOR_END: labels

// ANCHOR: serve
// import _ "net/http/pprof"
func serveDebug(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err == nil {
		go http.Serve(listener, nil)
	}
	return listener, err
}

// ANCHOR_END: serve

// ANCHOR: cpu
func profileOf(work func(), file *os.File) error {
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	work()
	pprof.StopCPUProfile()
	return nil
}

// ANCHOR_END: cpu

// ANCHOR: goroutines
func goroutineProfile() ([]byte, error) {
	var profile bytes.Buffer
	err := pprof.Lookup("goroutine").WriteTo(&profile, 0)
	return profile.Bytes(), err
}

// ANCHOR_END: goroutines
