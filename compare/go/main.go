// The jobs in Go. Usage: compare-go JOB COUNT WARM_UP. Prints the values of the job's outputs on one line, per
// operation, in the units and the order of src/jobs.rs. Exits with 3, and a reason, for a job that it does not have.
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

var jobs = map[string]func(int) []float64{
	"spawn_done":          spawnDone,
	"spawn_join":          spawnJoin,
	"yield":               yield,
	"ping_pong":           pingPong,
	"ping_pong_apart":     func(n int) []float64 { return pingPongApart(fewer(n)) },
	"chan128_1_1":         chanOneToOne,
	"chan128_4_4":         func(n int) []float64 { return fourToFour(128, n) },
	"chan0_4_4":           func(n int) []float64 { return fourToFour(0, n) },
	"select3":             selectThree,
	"mutex_1":             func(n int) []float64 { return mutex(n, 1) },
	"mutex_8":             func(n int) []float64 { return mutex(n, 8) },
	"rwlock_read":         rwlockRead,
	"skynet":              skynet,
	"fib":                 forkJoin,
	"sieve":               sieve,
	"par_map_1m":          parMap,
	"sleepers_100k":       sleepers,
	"park_1m":             park,
	"wake_latency":        func(n int) []float64 { return wakeLatency(n, true) },
	"wake_latency_greedy": func(n int) []float64 { return wakeLatency(n, false) },
	"started":             started,
	"waiters_channel":     waitersChannel,
	"waiters_mutex":       waitersMutex,
}

var skipped = map[string]string{
	"park_unpark": "Go has no such call",
	"threads128":  "its channels are for goroutines",
	"cache_line":  "the machine's own; no runtime takes part",
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: compare-go JOB COUNT WARM_UP")
		os.Exit(2)
	}
	job, known := jobs[os.Args[1]]
	if !known {
		reason, told := skipped[os.Args[1]]
		if !told {
			reason = "not a job for it"
		}
		fmt.Println(reason)
		os.Exit(3)
	}
	count, warmUp := number(os.Args[2]), number(os.Args[3])
	if warmUp > 0 {
		job(warmUp)
	}
	for _, value := range job(count) {
		fmt.Printf("%.3f ", value)
	}
	fmt.Println()
}

// A full round of a job whose every operation takes long would not end soon. Values are per operation, so they compare.
func fewer(n int) int {
	return max(n/50, 1)
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

func spawnDone(n int) []float64 {
	start := time.Now()
	var wg sync.WaitGroup
	for range n {
		wg.Add(1)
		go func() { wg.Done() }()
	}
	wg.Wait()
	return per(start, n)
}

// Go has no join: an unbuffered channel carries the result.
func spawnJoin(n int) []float64 {
	start := time.Now()
	for i := range n {
		result := make(chan int)
		go func() { result <- i }()
		<-result
	}
	return per(start, n)
}

func yield(n int) []float64 {
	var wg sync.WaitGroup
	start := time.Now()
	for range 2 {
		wg.Go(func() {
			for range n / 2 {
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	return per(start, n)
}

func mutex(n, goroutines int) []float64 {
	var mu sync.Mutex
	var wg sync.WaitGroup
	counter := 0
	start := time.Now()
	for range goroutines {
		wg.Go(func() {
			for range n / goroutines {
				mu.Lock()
				counter++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return per(start, n)
}

// Eight goroutines; each thousandth access of each writes.
func rwlockRead(n int) []float64 {
	var mu sync.RWMutex
	var wg sync.WaitGroup
	value := 0
	start := time.Now()
	for range 8 {
		wg.Go(func() {
			sum := 0
			for i := range n / 8 {
				if i%1000 == 999 {
					mu.Lock()
					value++
					mu.Unlock()
				} else {
					mu.RLock()
					sum += value
					mu.RUnlock()
				}
			}
			use(sum)
		})
	}
	wg.Wait()
	return per(start, n)
}

func sleepers(n int) []float64 {
	var wg sync.WaitGroup
	start := time.Now()
	for i := range n {
		wg.Go(func() { time.Sleep(time.Duration(1+i%100) * time.Millisecond) })
	}
	wg.Wait()
	return per(start, 1)
}

// VmRSS + VmPTE of this process, in bytes.
func memory() int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	total := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 3 && (fields[0] == "VmRSS:" || fields[0] == "VmPTE:") {
			total += number(fields[1]) * 1024
		}
	}
	return total
}

func park(n int) []float64 {
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
	values := per(start, n)
	values = append(values, float64(memory()-before)/float64(n))
	start = time.Now()
	close(release)
	ended.Wait()
	return append(values, per(start, n)...)
}
