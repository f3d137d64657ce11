package main

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

func echo(pinged, pong chan int) {
	for i := range pinged {
		pong <- i
	}
}

func call(ping, ponged chan int, n int) {
	for i := range n {
		ping <- i
		<-ponged
	}
}

func pingPong(n int) []float64 {
	start := time.Now()
	ping, pong := make(chan int), make(chan int)
	go echo(ping, pong)
	call(ping, pong, n)
	return per(start, n)
}

// Goroutines move; the only way to keep two apart is to lock each to a thread, here on a processor of its own.
func pingPongApart(n int) []float64 {
	ping, pong, result := make(chan int), make(chan int), make(chan []float64)
	go func() {
		lockToProcessor(1)
		echo(ping, pong)
	}()
	go func() {
		lockToProcessor(0)
		start := time.Now()
		call(ping, pong, n)
		result <- per(start, n)
	}()
	return <-result
}

// The thread of the calling goroutine uses only one of the processors that it may use.
func lockToProcessor(index int) {
	runtime.LockOSThread()
	var set [16]uint64
	size, pointer := unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set))
	if _, _, failed := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, size, pointer); failed != 0 {
		return
	}
	var allowed []int
	for cpu := range 64 * len(set) {
		if set[cpu/64]>>(cpu%64)&1 == 1 {
			allowed = append(allowed, cpu)
		}
	}
	cpu := allowed[index%len(allowed)]
	set = [16]uint64{}
	set[cpu/64] = 1 << (cpu % 64)
	syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, size, pointer)
}

func chanOneToOne(n int) []float64 {
	start := time.Now()
	c := make(chan int, 128)
	go func() {
		for i := range n {
			c <- i
		}
		close(c)
	}()
	for range c {
	}
	return per(start, n)
}

func fourToFour(capacity, n int) []float64 {
	start := time.Now()
	c, done := make(chan int, capacity), make(chan struct{})
	for range 4 {
		go func() {
			for i := range n / 4 {
				c <- i
			}
			done <- struct{}{}
		}()
		go func() {
			for range n / 4 {
				<-c
			}
			done <- struct{}{}
		}()
	}
	for range 8 {
		<-done
	}
	return per(start, n)
}

func selectThree(n int) []float64 {
	start := time.Now()
	var chans [3]chan int
	for i := range chans {
		chans[i] = make(chan int)
		go func() {
			for j := range n / 3 {
				chans[i] <- j
			}
		}()
	}
	a, b, c := chans[0], chans[1], chans[2]
	sum := 0
	for range n / 3 * 3 {
		select {
		case i := <-a:
			sum += i
		case i := <-b:
			sum += i
		case i := <-c:
			sum += i
		}
	}
	use(sum)
	return per(start, n)
}

func skynet(leaves int) []float64 {
	size := 1
	for size*10 <= leaves {
		size *= 10
	}
	start := time.Now()
	c := make(chan int)
	go node(c, 0, size)
	if sum := <-c; sum != size*(size-1)/2 {
		panic(sum)
	}
	return per(start, size+size/9)
}

func node(parent chan int, number, size int) {
	if size == 1 {
		parent <- number
		return
	}
	c := make(chan int)
	for child := range 10 {
		go node(c, number+child*(size/10), size/10)
	}
	sum := 0
	for range 10 {
		sum += <-c
	}
	parent <- sum
}

// The numbers from 2 to n pass a hundred filters, each of which keeps back the multiples of its prime.
func sieve(n int) []float64 {
	start := time.Now()
	numbers := make(chan int)
	go func(out chan int) {
		for i := 2; i <= n; i++ {
			out <- i
		}
		close(out)
	}(numbers)
	for _, prime := range primes() {
		filtered := make(chan int)
		go func(in chan int) {
			for i := range in {
				if i%prime != 0 {
					filtered <- i
				}
			}
			close(filtered)
		}(numbers)
		numbers = filtered
	}
	count := 0
	for range numbers {
		count++
	}
	values := per(start, n)
	if count != survivors(n) {
		panic(count)
	}
	return values
}
