// Package week7 is the Go half of "Go and Rust, side by side": every piece that the book shows, compiled and tested.
package week7

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

// ANCHOR: start
func start() int {
	result := make(chan int, 1)
	go func() { result <- 6 * 7 }()
	return <-result
}

// ANCHOR_END: start

// ANCHOR: own_value
func ownValue(names []string) []string {
	greetings := make([]string, len(names))
	var wg sync.WaitGroup
	for i, name := range names { // new ones in each turn
		wg.Go(func() { greetings[i] = "hello " + name })
	}
	wg.Wait()
	return greetings
}

// ANCHOR_END: own_value

// ANCHOR: lend
func lend(numbers []int) int {
	half := len(numbers) / 2
	var left, right int
	var wg sync.WaitGroup
	wg.Go(func() { left = sum(numbers[:half]) })
	wg.Go(func() { right = sum(numbers[half:]) })
	wg.Wait()
	return left + right
}

// ANCHOR_END: lend

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}

// ANCHOR: wait
func waitForAll() int {
	var done sync.Map
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() { done.Store(i, true) })
	}
	wg.Wait()
	return count(&done)
}

// ANCHOR_END: wait

func count(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// ANCHOR: done
func careful(jobs []func()) {
	var wg sync.WaitGroup
	for _, job := range jobs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			job()
		}()
	}
	wg.Wait()
}

// ANCHOR_END: done

// ANCHOR: panic
func divide(a, b int) (quotient int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil { // else the program ends
				err = fmt.Errorf("%v", p)
			}
		}()
		quotient = a / b
	}()
	<-done
	return
}

// ANCHOR_END: panic

// ANCHOR: runtime
func aboutMe() int {
	runtime.Gosched()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.Goexit()
	}()
	<-ended
	return runtime.NumGoroutine()
}

// ANCHOR_END: runtime

// ANCHOR: sleep
func later() bool {
	time.Sleep(10 * time.Millisecond)
	called := make(chan bool)
	soon := 10 * time.Millisecond
	time.AfterFunc(soon, func() { called <- true })
	return <-called
}

// ANCHOR_END: sleep
