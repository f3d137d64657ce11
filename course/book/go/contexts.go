package week7

import (
	"context"
	"errors"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

// ANCHOR: cancel
func cancelled() error {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		<-ctx.Done()
		ended <- ctx.Err()
	}()
	cancel()
	return <-ended
}

// ANCHOR_END: cancel

// ANCHOR: deadline
func tooLate() error {
	limit := 10 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	select {
	case <-time.After(time.Minute):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ANCHOR_END: deadline

// ANCHOR: cause
var errStrike = errors.New("strike")

func why() error {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errStrike)
	return context.Cause(ctx)
}

// ANCHOR_END: cause

// ANCHOR: value
type requestID struct{}

func request() int {
	ctx := context.WithValue(context.Background(), requestID{}, 17)
	id, _ := ctx.Value(requestID{}).(int)
	return id
}

// ANCHOR_END: value

// ANCHOR: errgroup
func checkAll(numbers []int) error {
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(4)
	for _, n := range numbers {
		g.Go(func() error { return check(ctx, n) })
	}
	return g.Wait()
}

// ANCHOR_END: errgroup

func check(ctx context.Context, n int) error {
	if n < 0 {
		return errors.New("negative")
	}
	return ctx.Err()
}

// ANCHOR: semaphore
func bounded(ctx context.Context, jobs []func()) error {
	places := semaphore.NewWeighted(4)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, job := range jobs {
		if err := places.Acquire(ctx, 1); err != nil {
			return err
		}
		wg.Go(func() {
			defer places.Release(1)
			job()
		})
	}
	return nil
}

// ANCHOR_END: semaphore

// ANCHOR: singleflight
var flights singleflight.Group

func load(key string) string {
	value, _, _ := flights.Do(key, func() (any, error) {
		return "the page " + key, nil
	})
	return value.(string)
}

// ANCHOR_END: singleflight

// ANCHOR: pool
func squares(numbers []int) []int {
	results := make([]int, len(numbers))
	jobs := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range jobs {
				results[i] = numbers[i] * numbers[i]
			}
		})
	}
	for i := range numbers {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	return results
}

// ANCHOR_END: pool

// ANCHOR: pipeline
func pipeline(ctx context.Context, words []string) (letters int) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	source := make(chan string)
	go func() {
		defer close(source)
		for _, word := range words {
			select {
			case source <- word:
			case <-ctx.Done():
				return
			}
		}
	}()
	lengths := make(chan int)
	go func() {
		defer close(lengths)
		for word := range source {
			select {
			case lengths <- len(word):
			case <-ctx.Done():
				return
			}
		}
	}()
	for length := range lengths {
		letters += length
	}
	return letters
}

// ANCHOR_END: pipeline

// ANCHOR: signal
func untilCtrlC(work func(context.Context)) {
	ctx, stop := signal.NotifyContext(
		context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	work(ctx)
}

// ANCHOR_END: signal
