//! How long a dump of many goroutines takes: `cargo run --release --example dump_many -- 1000000`.
//!
//! The goroutines wait at three places. Each form is written to a sink that counts bytes; the first dump reads the
//! program's debug information, and is told apart.

use lisle::debug::{Format, dump_to};
use lisle::sync::WaitGroup;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// The most memory that the process has had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

fn measure(what: &str, format: Format) -> io::Result<()> {
    let (before, start) = (peak(), Instant::now());
    let mut count = Count(0);
    dump_to(&mut count, format)?;
    println!("{what:<8} {:>9.1?} {:>11} bytes, peak memory +{} MiB", start.elapsed(), count.0, peak() - before);
    Ok(())
}

fn main() -> io::Result<()> {
    let many = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000);
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
    measure("first", Format::Folded)?;
    measure("text", Format::Text)?;
    measure("folded", Format::Folded)?;
    measure("json", Format::Json)?;
    drop(sender);
    group.wait();
    Ok(())
}
