// The Go side of the comparison: each job prints one number, in nanoseconds an operation (or bytes).
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: compare-go JOB COUNT")
		os.Exit(2)
	}
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	jobs := map[string]func(int){
		"spawn_done":    spawnDone,
		"spawn_join":    spawnJoin,
		"yield":         yield,
		"mutex_1":       func(n int) { mutex(n, 1) },
		"mutex_8":       func(n int) { mutex(n, 8) },
		"sleepers_100k": sleepers,
		"park_1m":       park,
		"ping_pong":     pingPong,
		"chan128_1_1":   chanOneToOne,
		"chan128_4_4":   func(n int) { fourToFour("chan128_4_4", 128, n) },
		"chan0_4_4":     func(n int) { fourToFour("chan0_4_4", 0, n) },
		"select3":       selectThree,
		"skynet":        skynet,
	}
	job, known := jobs[os.Args[1]]
	if !known {
		fmt.Println("unknown")
		os.Exit(3)
	}
	job(count)
}

func report(name string, start time.Time, operations int) {
	fmt.Printf("%s %.3f\n", name, float64(time.Since(start).Nanoseconds())/float64(operations))
}

func spawnDone(n int) {
	for range 3 { // the last round counts: the first ones warm up
		var wg sync.WaitGroup
		start := time.Now()
		for range n {
			wg.Add(1)
			go func() { wg.Done() }()
		}
		wg.Wait()
		report("spawn_done", start, n)
	}
}

func spawnJoin(n int) {
	start := time.Now()
	for range n {
		done := make(chan int)
		go func() { done <- 1 }()
		<-done
	}
	report("spawn_join", start, n)
}

// Both yielders run on one P, as they run on one worker in lisle.
func yield(n int) {
	runtime.GOMAXPROCS(1)
	var wg sync.WaitGroup
	start := time.Now()
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range n {
				runtime.Gosched()
			}
		}()
	}
	wg.Wait()
	report("yield", start, 2*n)
}

func mutex(n, goroutines int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	counter := 0
	start := time.Now()
	for range goroutines {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range n / goroutines {
				mu.Lock()
				counter++
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	report(fmt.Sprintf("mutex_%d", goroutines), start, n)
}

func sleepers(n int) {
	var wg sync.WaitGroup
	start := time.Now()
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			time.Sleep(time.Duration(1+i%100) * time.Millisecond)
		}()
	}
	wg.Wait()
	report("sleepers_100k", start, 1)
}

func memory() int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	total := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 3 && (fields[0] == "VmRSS:" || fields[0] == "VmPTE:") {
			kib, _ := strconv.Atoi(fields[1])
			total += kib * 1024
		}
	}
	return total
}

func park(n int) {
	before := memory()
	release := make(chan struct{})
	var started, ended sync.WaitGroup
	start := time.Now()
	for range n {
		started.Add(1)
		ended.Add(1)
		go func() {
			started.Done()
			<-release
			ended.Done()
		}()
	}
	started.Wait()
	report("park_1m_start", start, n)
	fmt.Printf("park_1m_bytes %.3f\n", float64(memory()-before)/float64(n))
	start = time.Now()
	close(release)
	ended.Wait()
	report("park_1m_wake", start, n)
}
