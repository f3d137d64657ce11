package week7

import (
	"errors"
	"time"
)

// ANCHOR: rendezvous
func rendezvous() string {
	letters := make(chan string)
	go func() { letters <- "from hand to hand" }()
	return <-letters
}

// ANCHOR_END: rendezvous

// ANCHOR: buffer
func buffer() int {
	letters := make(chan int, 2)
	letters <- 1
	letters <- 2 // a third one would wait
	return len(letters)
}

// ANCHOR_END: buffer

// ANCHOR: close
func total(n int) (sum int) {
	numbers := make(chan int)
	go func() {
		defer close(numbers) // ends the loop below
		for i := range n {
			numbers <- i
		}
	}()
	for number := range numbers {
		sum += number
	}
	return sum
}

// ANCHOR_END: close

// ANCHOR: comma_ok
func isOver(numbers <-chan int) bool {
	_, ok := <-numbers
	return !ok
}

// ANCHOR_END: comma_ok

// ANCHOR: select
func first(a, b <-chan string) string {
	select {
	case text := <-a:
		return text
	case text := <-b:
		return text
	}
}

// ANCHOR_END: select

// ANCHOR: select_default
func look(letters <-chan string) string {
	select {
	case text := <-letters:
		return text
	default:
		return "nothing yet"
	}
}

// ANCHOR_END: select_default

// ANCHOR: timeout
func inTime(
	answers <-chan string, limit time.Duration,
) (string, error) {
	select {
	case answer := <-answers:
		return answer, nil
	case <-time.After(limit):
		return "", errors.New("too late")
	}
}

// ANCHOR_END: timeout

// ANCHOR: ticker
func ticks(n int) (count int) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		if count++; count == n {
			break
		}
	}
	return count
}

// ANCHOR_END: ticker

// ANCHOR: never
func merge(a, b <-chan int) (sum int) {
	for a != nil || b != nil {
		select {
		case n, ok := <-a:
			if !ok {
				a = nil // never ready from here on
			}
			sum += n
		case n, ok := <-b:
			if !ok {
				b = nil
			}
			sum += n
		}
	}
	return sum
}

// ANCHOR_END: never
