//! What it costs to look into a program with many goroutines, and what they notice of it:
//! `cargo run --release --example dump_many -- 1000000`, and with a heap of so many MiB beside them: `-- 10000 1024`.
//!
//! The goroutines wait at three places. Dumps go to a sink that counts bytes, and once to a file. The first one reads the program's
//! debug information, and is told apart. Meanwhile a goroutine does nothing but yield, on a worker that it shares with thousands of
//! those that are looked at: the longest time between two of its turns is what a look takes from a goroutine at the most. Since
//! the system takes the processor away, too, that is told for as long a time without a look.

use lisle::debug::{Format, dump_to, leaked};
use lisle::sync::WaitGroup;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line of `/proc/self/status`, in KiB.
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Processor time of the calling thread.
fn used() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// Makes the present memory the peak.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// A goroutine that yields all the time.
struct Ticker {
    longest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn stopped() -> Self {
        Self { longest: Arc::default(), stop: Arc::default() }
    }

    fn start() -> Self {
        let this = Self::stopped();
        let (longest, stop) = (Arc::clone(&this.longest), Arc::clone(&this.stop));
        drop(lisle::go(move || {
            let mut last = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                lisle::yield_now();
                let now = Instant::now();
                longest.fetch_max((now - last).as_micros() as u64, Ordering::Relaxed);
                last = now;
            }
        }));
        this
    }

    /// The longest turn since the last call.
    fn take(&self) -> Duration {
        Duration::from_micros(self.longest.swap(0, Ordering::Relaxed))
    }
}

fn measure(what: &str, ticker: &Ticker, look: impl FnOnce() -> io::Result<u64>) -> io::Result<()> {
    forget_peak();
    let before = memory("VmRSS:");
    ticker.take();
    let (start, busy) = (Instant::now(), used());
    let bytes = look()?;
    let (took, busy, pause) = (start.elapsed(), used() - busy, ticker.take());
    let more = memory("VmHWM:").saturating_sub(before);
    std::thread::sleep(took);
    let usual = ticker.take();
    println!("{what:<20} {took:>9.1?} {busy:>9.1?} {bytes:>11} {more:>8} KiB {pause:>9.1?} {usual:>9.1?}");
    Ok(())
}

fn dump(format: Format) -> io::Result<u64> {
    let mut count = Count(0);
    dump_to(&mut count, format)?;
    Ok(count.0)
}

fn main() -> io::Result<()> {
    let argument = |index| std::env::args().nth(index).and_then(|text| text.parse::<u64>().ok());
    let many = argument(1).unwrap_or(10_000);
    // Pointers to one another, as in a heap of small objects.
    let mebibytes = argument(2).unwrap_or(0);
    let mut heap: Vec<Box<[usize; 14]>> = Vec::new();
    for _ in 0..mebibytes * 8192 {
        let before = heap.last().map_or(0, |last| std::ptr::from_ref(&**last).addr());
        heap.push(Box::new([before; 14]));
    }
    let (sender, receiver) = lisle::channel::bounded::<u32>(0);
    let begun = Arc::new(AtomicU64::new(0));
    let group = WaitGroup::new();
    for index in 0..many {
        let (receiver, begun) = (receiver.clone(), Arc::clone(&begun));
        group.go(move || {
            begun.fetch_add(1, Ordering::Relaxed);
            match index % 3 {
                0 => drop(receiver.recv()),
                1 => lisle::select! { recv(receiver) -> _ => {} },
                _ => drop(receiver.iter().next()),
            }
        });
    }
    // All have begun; the last ones take a moment more to wait.
    while begun.load(Ordering::Relaxed) < many {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(200));
    println!("{many} goroutines, {} MiB in memory", memory("VmRSS:") / 1024);
    println!(
        "{:<20} {:>9} {:>9} {:>11} {:>12} {:>9} {:>9}",
        "", "time", "busy", "bytes", "more memory", "pause", "usual"
    );
    // By itself: a goroutine that runs is interrupted, and may be in a library whose debug information is read, too.
    let ticker = Ticker::stopped();
    measure("first dump, text", &ticker, || dump(Format::Text))?;
    measure("second dump, text", &ticker, || dump(Format::Text))?;
    let ticker = Ticker::start();
    measure("text", &ticker, || dump(Format::Text))?;
    measure("text to a file", &ticker, || {
        let path = std::env::temp_dir().join(format!("lisle-dump-{}", std::process::id()));
        let mut file = std::fs::File::create(&path)?;
        dump_to(&mut file, Format::Text)?;
        let bytes = file.metadata()?.len();
        std::fs::remove_file(path)?;
        Ok(bytes)
    })?;
    measure("folded", &ticker, || dump(Format::Folded))?;
    measure("json", &ticker, || dump(Format::Json))?;
    #[cfg(feature = "pprof")]
    for what in ["first profile", "profile"] {
        measure(what, &ticker, || {
            let mut count = Count(0);
            lisle::debug::write_profile(lisle::debug::ProfileKind::Goroutine, &mut count)?;
            Ok(count.0)
        })?;
    }
    measure("leaked", &ticker, || leaked().map(|leaks| leaks.len() as u64))?;
    ticker.stop.store(true, Ordering::Relaxed);
    std::hint::black_box(heap);
    drop(sender);
    group.wait();
    Ok(())
}
