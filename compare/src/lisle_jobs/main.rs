//! The jobs in lisle. Called as Go's binary is: `compare-lisle JOB COUNT WARM_UP`; see `child.rs`.

mod channels;
mod computing;
mod scale;

use compare::program::Program::{self, Run, Skip};
use compare::program::report;
use compare::work::{Values, memory, parked, per, workers};
use lisle::sync::{Mutex, OnceLock, RwLock, WaitGroup};
use lisle::{go, yield_now};
use std::cell::OnceCell;
use std::hint::black_box;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [job, count, warm_up] = &arguments[..] else {
        eprintln!("usage: compare-lisle JOB COUNT WARM_UP");
        return ExitCode::from(2);
    };
    let number = |text: &str| text.parse().expect("a number");
    report(&program(job).measure(number(count), number(warm_up)))
}

fn program(job: &str) -> Program {
    /// In the main goroutine.
    macro_rules! run {
        ($f:expr) => {
            Run(|n| lisle::run(move || $f(n)))
        };
    }
    match job {
        "spawn_done" => run!(spawn_done),
        "spawn_join" => run!(spawn_join),
        "yield" => run!(yield_two),
        "park_unpark" => run!(park_unpark),
        "ping_pong" => run!(channels::ping_pong),
        "ping_pong_apart" if workers() < 2 => Skip("needs two workers"),
        "ping_pong_apart" => run!(channels::ping_pong_apart),
        "chan128_1_1" => run!(channels::one_to_one),
        "chan128_4_4" => run!(|n| channels::four_to_four(128, n)),
        "chan0_4_4" => run!(|n| channels::four_to_four(0, n)),
        // Between OS threads: no goroutine takes part.
        "threads128" => Run(channels::between_threads),
        "select3" => run!(channels::select3),
        "skynet" => run!(channels::skynet),
        "sieve" => run!(channels::sieve),
        "mutex_1" => run!(|n| mutex(n, 1)),
        "mutex_8" => run!(|n| mutex(n, 8)),
        "rwlock_read" => run!(rwlock_read),
        "sleepers_100k" => run!(sleepers),
        "park_1m" => run!(park),
        "fib" => run!(computing::fork_join),
        "par_map_1m" => run!(computing::par_map),
        "wake_latency" => run!(computing::wake_latency),
        "wake_latency_greedy" => Skip("goroutines of lisle are not preempted: one that never yields keeps its worker"),
        "started" => run!(scale::started),
        "waiters_channel" => run!(scale::waiters_channel),
        "waiters_mutex" => run!(scale::waiters_mutex),
        _ => Skip("the machine's own; no runtime takes part"),
    }
}

fn spawn_done(n: usize) -> Values {
    let start = Instant::now();
    let group = WaitGroup::new();
    for _ in 0..n {
        group.add(1);
        let group = group.clone();
        go(move || group.done());
    }
    group.wait();
    per(start, n)
}

fn spawn_join(n: usize) -> Values {
    let start = Instant::now();
    for i in 0..n {
        black_box(go(move || i).join().unwrap());
    }
    per(start, n)
}

fn yield_two(n: usize) -> Values {
    let start = Instant::now();
    let both = [(); 2].map(|()| go(move || (0..n / 2).for_each(|_| yield_now())));
    for one in both {
        one.join().unwrap();
    }
    per(start, n)
}

/// Two goroutines wake each other in turn. An operation: one park and one unpark.
fn park_unpark(n: usize) -> Values {
    let start = Instant::now();
    let partner = Rc::new(OnceCell::<lisle::Goroutine>::new());
    let one = lisle::go_local({
        let partner = partner.clone();
        move || {
            for _ in 0..n / 2 {
                lisle::park();
                partner.get().unwrap().unpark();
            }
        }
    });
    let first = one.goroutine();
    let other = lisle::go_local(move || {
        for _ in 0..n / 2 {
            first.unpark();
            lisle::park();
        }
    });
    partner.set(other.goroutine()).unwrap();
    one.join().unwrap();
    other.join().unwrap();
    per(start, n)
}

fn mutex(n: usize, goroutines: usize) -> Values {
    let counter = Mutex::new(0_usize);
    let start = Instant::now();
    lisle::scope(|s| {
        for _ in 0..goroutines {
            s.go(|| {
                for _ in 0..n / goroutines {
                    *counter.lock().unwrap() += 1;
                }
            });
        }
    });
    let values = per(start, n);
    assert_eq!(counter.into_inner().unwrap(), n / goroutines * goroutines);
    values
}

/// Eight goroutines; each thousandth access of each writes.
fn rwlock_read(n: usize) -> Values {
    let lock = RwLock::new(0_usize);
    let start = Instant::now();
    lisle::scope(|s| {
        for _ in 0..8 {
            s.go(|| {
                for i in 0..n / 8 {
                    if i % 1000 == 999 {
                        *lock.write().unwrap() += 1;
                    } else {
                        black_box(*lock.read().unwrap());
                    }
                }
            });
        }
    });
    per(start, n)
}

fn sleepers(n: usize) -> Values {
    let start = Instant::now();
    let group = WaitGroup::new();
    for i in 0..n {
        group.go(move || lisle::time::sleep(Duration::from_millis(1 + i as u64 % 100)));
    }
    group.wait();
    per(start, 1)
}

fn park(n: usize) -> Values {
    let before = memory();
    let (release, started, ended) = (OnceLock::new(), WaitGroup::new(), WaitGroup::new());
    lisle::scope(|s| {
        let start = Instant::now();
        started.add(n as i32);
        ended.add(n as i32);
        for _ in 0..n {
            s.go(|| {
                started.done();
                release.wait();
                ended.done();
            });
        }
        started.wait();
        let (start, bytes) = (start.elapsed(), memory() - before);
        let wake = Instant::now();
        release.set(()).unwrap();
        ended.wait();
        parked(n, start, bytes, wake.elapsed())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use compare::jobs::JOBS;

    #[test]
    fn lisle_has_every_job_but_those_that_it_says_it_cannot_do() {
        let skipped: Vec<_> =
            JOBS.iter().filter(|job| matches!(program(job.name), Program::Skip(_))).map(|job| job.name).collect();
        assert_eq!(skipped, ["cache_line", "wake_latency_greedy"]);
    }
}
