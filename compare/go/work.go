package main

import (
	"slices"
	"sync/atomic"
	"time"
)

// What src/work.rs has, in Go.

// Nanoseconds an operation.
func per(start time.Time, operations int) []float64 {
	return []float64{float64(time.Since(start).Nanoseconds()) / float64(operations)}
}

var sink atomic.Int64

// Keeps the compiler from removing what a value was computed for.
func use(value int) {
	sink.Store(int64(value))
}

func percentiles(samples []time.Duration) []float64 {
	slices.Sort(samples)
	at := func(share float64) float64 {
		return float64(samples[int(float64(len(samples)-1)*share)].Nanoseconds())
	}
	return []float64{at(0.5), at(0.99), at(0.999)}
}

func mix(x uint64) uint64 {
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

func mixTimes(times int, x uint64) uint64 {
	for range times {
		x = mix(x)
	}
	return x
}

func smallItem(x uint64) uint64 {
	return mixTimes(16, x)
}

//go:noinline
func computePiece(x uint64) uint64 {
	return mixTimes(3000, x)
}

const (
	pieces    = 4
	listeners = 8
)

func fibSize(count int) (n, calls int) {
	n, calls = 1, 1
	for next := 3; next <= count; n++ {
		calls, next = next, next+calls+1
	}
	return n, calls
}

func primes() []int {
	var all []int
	for n := 2; len(all) < 100; n++ {
		if !slices.ContainsFunc(all, func(p int) bool { return n%p == 0 }) {
			all = append(all, n)
		}
	}
	return all
}

func survivors(n int) int {
	count, primes := 0, primes()
	for i := 2; i <= n; i++ {
		if !slices.ContainsFunc(primes, func(p int) bool { return i%p == 0 }) {
			count++
		}
	}
	return count
}
