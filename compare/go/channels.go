package main

import "time"

func pingPong(n int) {
	start := time.Now()
	ping, pong := make(chan int), make(chan int)
	go func() {
		for i := range ping {
			pong <- i
		}
	}()
	for i := range n {
		ping <- i
		<-pong
	}
	report("ping_pong", start, n)
}

func chanOneToOne(n int) {
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
	report("chan128_1_1", start, n)
}

func fourToFour(name string, capacity, n int) {
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
	report(name, start, n)
}

func selectThree(n int) {
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
	report("select3", start, n)
}

func skynet(leaves int) {
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
	report("skynet", start, size+size/9)
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
