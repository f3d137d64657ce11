package main

import (
	"runtime"
	"sync"
	"time"
)

// The jobs of `compare scale`; see src/lisle_jobs/scale.rs.

func started(size int) []float64 {
	groups := max(1_000_000/size, 1)
	start := time.Now()
	for range groups {
		var wg sync.WaitGroup
		wg.Add(size)
		for range size {
			go func() { wg.Done() }()
		}
		wg.Wait()
	}
	return per(start, groups*size)
}

func waitersChannel(size int) []float64 {
	messages := 1_000_000
	c := make(chan int)
	var wg sync.WaitGroup
	for range size {
		wg.Go(func() {
			for range c {
			}
		})
	}
	runtime.Gosched()
	start := time.Now()
	for i := range messages {
		c <- i
	}
	values := per(start, messages)
	close(c)
	wg.Wait()
	return values
}

func waitersMutex(size int) []float64 {
	turns := max(200_000/size, 1)
	var mu sync.Mutex
	var wg sync.WaitGroup
	counter := 0
	start := time.Now()
	for range size {
		wg.Go(func() {
			for range turns {
				mu.Lock()
				runtime.Gosched()
				counter++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return per(start, turns*size)
}
