package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func forkJoin(count int) []float64 {
	n, calls := fibSize(count)
	start := time.Now()
	use(fib(n))
	return per(start, calls)
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	other := make(chan int, 1)
	go func() { other <- fib(n - 1) }()
	return fib(n-2) + <-other
}

func workers() int {
	n, err := strconv.Atoi(os.Getenv("COMPARE_WORKERS"))
	if err != nil {
		return 2
	}
	return n
}

// A goroutine for each worker; they share the next index. Each writes its results where they belong.
func parMap(n int) []float64 {
	start := time.Now()
	results := make([]uint64, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers() {
		wg.Go(func() {
			for {
				index := int(next.Add(1)) - 1
				if index >= n {
					return
				}
				results[index] = smallItem(uint64(index))
			}
		})
	}
	wg.Wait()
	values := per(start, n)
	if results[n-1] != smallItem(uint64(n-1)) {
		panic("a result is missing")
	}
	return values
}

// While all workers compute, one of the computing goroutines sends the time to a listener now and then, who says how
// old it is.
func wakeLatency(n int, yields bool) []float64 {
	var stop atomic.Bool
	compute := func(x uint64) uint64 {
		x = computePiece(x)
		if yields {
			runtime.Gosched()
		}
		return x
	}
	for range 2 * workers() {
		go func() {
			x := uint64(1)
			for !stop.Load() {
				x = compute(x)
			}
			use(int(x))
		}()
	}
	var channels [listeners]chan time.Time
	collected := make(chan []time.Duration)
	for i := range channels {
		channels[i] = make(chan time.Time, 128)
		go func() {
			var samples []time.Duration
			for sent := range channels[i] {
				samples = append(samples, time.Since(sent))
			}
			collected <- samples
		}()
	}
	go func() {
		x := uint64(1)
		for i := range n {
			for range pieces {
				x = compute(x)
			}
			channels[i%listeners] <- time.Now()
		}
		for _, c := range channels {
			close(c)
		}
		use(int(x))
	}()
	var samples []time.Duration
	for range listeners {
		samples = append(samples, <-collected...)
	}
	stop.Store(true)
	return percentiles(samples)
}
