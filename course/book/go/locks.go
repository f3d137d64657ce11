package week7

import (
	"sync"
	"sync/atomic"
)

// ANCHOR: mutex
type Account struct {
	mu      sync.Mutex
	balance int
}

func (a *Account) Take(amount int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.balance < amount {
		return false
	}
	a.balance -= amount
	return true
}

// ANCHOR_END: mutex

// ANCHOR: rwmutex
type Directory struct {
	mu      sync.RWMutex
	numbers map[string]int
}

func (d *Directory) Find(name string) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.numbers[name]
}

func (d *Directory) Enter(name string, number int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.numbers[name] = number
}

// ANCHOR_END: rwmutex

// ANCHOR: once
var settings = sync.OnceValue(func() string {
	return "loaded once"
})

func useSettings() string {
	return settings()
}

// ANCHOR_END: once

// ANCHOR: cond
type Gate struct {
	mu     sync.Mutex
	opened *sync.Cond
	open   bool
}

func newGate() *Gate {
	g := &Gate{}
	g.opened = sync.NewCond(&g.mu)
	return g
}

func (g *Gate) Pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.open {
		g.opened.Wait()
	}
}

func (g *Gate) Open() {
	g.mu.Lock()
	g.open = true
	g.mu.Unlock()
	g.opened.Broadcast()
}

// ANCHOR_END: cond

// ANCHOR: atomic
func countTo(n int) int64 {
	var counter atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { counter.Add(1) })
	}
	wg.Wait()
	return counter.Load()
}

// ANCHOR_END: atomic
