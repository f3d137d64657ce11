package week7

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func same[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestStart(t *testing.T) {
	same(t, start(), 42)
	if got := ownValue([]string{"a", "b"}); !slices.Equal(got, []string{"hello a", "hello b"}) {
		t.Error(got)
	}
	same(t, lend([]int{1, 2, 3, 4, 5}), 15)
	same(t, waitForAll(), 3)
	ran := make(chan bool, 2)
	careful([]func(){func() { ran <- true }, func() { ran <- true }})
	same(t, len(ran), 2)
	quotient, _ := divide(7, 2)
	same(t, quotient, 3)
	_, err := divide(7, 0)
	same(t, err.Error(), "runtime error: integer divide by zero")
	if aboutMe() < 1 {
		t.Error("no goroutine")
	}
	same(t, later(), true)
}

func TestLocks(t *testing.T) {
	account := Account{balance: 100}
	same(t, account.Take(60), true)
	same(t, account.Take(60), false)
	directory := Directory{numbers: map[string]int{}}
	directory.Enter("ann", 7)
	same(t, directory.Find("ann"), 7)
	same(t, useSettings(), "loaded once")
	gate := newGate()
	go gate.Open()
	gate.Pass()
	same(t, countTo(100), 100)
}

func TestChannels(t *testing.T) {
	same(t, rendezvous(), "from hand to hand")
	same(t, buffer(), 2)
	same(t, total(5), 10)
	over := make(chan int)
	close(over)
	same(t, isOver(over), true)
	letters := make(chan string, 1)
	letters <- "one"
	same(t, first(letters, nil), "one")
	same(t, look(letters), "nothing yet")
	_, err := inTime(letters, time.Millisecond)
	same(t, err.Error(), "too late")
	same(t, ticks(3), 3)
	a, b := make(chan int, 1), make(chan int, 1)
	a <- 1
	b <- 2
	close(a)
	close(b)
	same(t, merge(a, b), 3)
}

func TestContexts(t *testing.T) {
	same(t, cancelled(), context.Canceled)
	same(t, tooLate(), context.DeadlineExceeded)
	same(t, why(), errStrike)
	same(t, request(), 17)
	same(t, checkAll([]int{1, 2}), nil)
	same(t, checkAll([]int{1, -2}).Error(), "negative")
	ran := make(chan bool, 9)
	same(t, bounded(context.Background(), slices.Repeat([]func(){func() { ran <- true }}, 9)), nil)
	same(t, len(ran), 9)
	same(t, load("x"), "the page x")
	if got := squares([]int{1, 2, 3}); !slices.Equal(got, []int{1, 4, 9}) {
		t.Error(got)
	}
	same(t, pipeline(context.Background(), []string{"warp", "weft"}), 8)
	untilCtrlC(func(ctx context.Context) { same(t, ctx.Err(), nil) })
}

// ANCHOR: synctest
func TestAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		time.Sleep(time.Hour)
		if time.Since(begin) != time.Hour {
			t.Error("the clock is not virtual")
		}
	})
}

// ANCHOR_END: synctest

func TestTools(t *testing.T) {
	same(t, strings.HasPrefix(whatGoesOn(), "goroutine "), true)
	ran := false
	handle("17", func() { ran = true })
	same(t, ran, true)
	listener, err := serveDebug("127.0.0.1:0")
	same(t, err, nil)
	listener.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "cpu.pb.gz"))
	same(t, err, nil)
	same(t, profileOf(func() { total(1000) }, file), nil)
	profile, err := goroutineProfile()
	same(t, err == nil && len(profile) > 0, true)
}
