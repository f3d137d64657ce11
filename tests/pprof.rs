//! The debug pages over HTTP, and the profiles: what is in them, and what wrong requests get.

#![cfg(feature = "pprof")]

mod common;

use lisle::debug::{self, CpuProfile, ProfileKind, ServerConfig, write_profile};
use lisle::sync::Mutex;
use lisle::{channel, go};
use prost::Message;
use std::hint::black_box;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

// ---- what a client sees ----

/// The server of these tests.
fn address() -> SocketAddr {
    static SERVER: OnceLock<debug::Server> = OnceLock::new();
    SERVER.get_or_init(|| debug::serve("127.0.0.1:0").unwrap()).local_addr()
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn send(request: &str) -> Answer {
    let mut stream = TcpStream::connect(address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a whole head");
    let body = all.split_off(end + 4);
    let head = String::from_utf8(all).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body }
}

fn get(path: &str) -> Answer {
    send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn assert_refused(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(words), "{}", answer.text());
}

/// CPU profiles are taken one at a time.
fn one_cpu_profile_at_a_time() -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

// ---- what a profile says ----

mod proto {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Profile {
        #[prost(message, repeated, tag = "2")]
        pub(crate) sample: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        pub(crate) location: Vec<Location>,
        #[prost(message, repeated, tag = "5")]
        pub(crate) function: Vec<Function>,
        #[prost(string, repeated, tag = "6")]
        pub(crate) strings: Vec<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Sample {
        #[prost(uint64, repeated, tag = "1")]
        pub(crate) location: Vec<u64>,
        #[prost(int64, repeated, tag = "2")]
        pub(crate) value: Vec<i64>,
        #[prost(message, repeated, tag = "3")]
        pub(crate) label: Vec<Label>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Label {
        #[prost(int64, tag = "1")]
        pub(crate) key: i64,
        #[prost(int64, tag = "2")]
        pub(crate) text: i64,
        #[prost(int64, tag = "3")]
        pub(crate) number: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Location {
        #[prost(uint64, tag = "1")]
        pub(crate) id: u64,
        #[prost(message, repeated, tag = "4")]
        pub(crate) line: Vec<Line>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Line {
        #[prost(uint64, tag = "1")]
        pub(crate) function: u64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Function {
        #[prost(uint64, tag = "1")]
        pub(crate) id: u64,
        #[prost(int64, tag = "2")]
        pub(crate) name: i64,
    }
}

/// A sample in words.
#[derive(Debug)]
struct Sample {
    /// The innermost first.
    functions: Vec<String>,
    values: Vec<i64>,
    labels: Vec<(String, String)>,
    goroutine: Option<i64>,
}

impl Sample {
    fn is_in(&self, function: &str) -> bool {
        self.functions.iter().any(|name| name.ends_with(function))
    }

    fn has_label(&self, key: &str, value: &str) -> bool {
        self.labels.iter().any(|(k, v)| k == key && v == value)
    }
}

fn decode(bytes: &[u8]) -> Vec<Sample> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).expect("gzip");
    let profile = proto::Profile::decode(&plain[..]).expect("a profile");
    let string = |index: i64| profile.strings[usize::try_from(index).unwrap()].clone();
    let name = |id: u64| string(profile.function.iter().find(|f| f.id == id).expect("a function").name);
    let sample = |sample: &proto::Sample| {
        let location = |id: &u64| profile.location.iter().find(|l| l.id == *id).expect("a location").clone();
        let lines = sample.location.iter().map(location).flat_map(|location| location.line);
        let number = sample.label.iter().find(|label| string(label.key) == "goroutine");
        let labels = sample.label.iter().filter(|label| label.text != 0);
        Sample {
            functions: lines.map(|line| name(line.function)).collect(),
            values: sample.value.clone(),
            labels: labels.map(|label| (string(label.key), string(label.text))).collect(),
            goroutine: number.map(|label| label.number),
        }
    };
    profile.sample.iter().map(sample).collect()
}

fn profile(kind: ProfileKind) -> Vec<Sample> {
    let mut bytes = Vec::new();
    write_profile(kind, &mut bytes).unwrap();
    decode(&bytes)
}

// ---- requests ----

#[test]
fn what_is_not_there_is_named() {
    assert_refused(&get("/nothing"), 404, "nothing at /nothing");
    assert_refused(&get("/debug/pprof/heap"), 404, "unknown profile \"heap\"; there are: profile, ");
    assert_eq!(get("/debug").status, 302);
    assert_eq!(get("/debug/pprof/").status, 200);
}

#[test]
fn numbers_that_make_no_sense_are_told_with_what_would() {
    for wrong in ["x", "-1", "0", "1.5", "999999", ""] {
        let answer = get(&format!("/debug/pprof/profile?seconds={wrong}"));
        assert_refused(&answer, 400, "it must be a whole number from 1 to 3600");
    }
    assert_refused(&get("/debug/pprof/goroutine?debug=3"), 400, "from 0 to 2");
    assert_refused(&get("/debug/pprof/mutex?debug=2"), 400, "from 0 to 1");
    assert_refused(&get("/debug/pprof/threadcreate?seconds=1"), 400, "a look at one moment");
}

#[test]
fn what_is_no_request_for_a_page_is_refused() {
    assert_refused(&send("DELETE /debug/ HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405, "DELETE makes no sense");
    assert_refused(&send("what?\r\n\r\n"), 400, "not HTTP");
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000));
    assert_refused(&send(&long), 431, "longer than 16384 bytes");
    let huge = "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n";
    assert_refused(&send(huge), 413, "longer than 65536 bytes");
    let head = send("HEAD /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.status == 200 && head.body.is_empty() && head.head.contains("Content-Length: "), "{}", head.head);
}

#[test]
fn requests_in_another_hosts_name_or_from_another_sites_page_are_refused() {
    let of_host = |host: &str| send(&format!("GET /debug/pprof/cmdline HTTP/1.1\r\n{host}\r\n"));
    assert_eq!(of_host("Host: 127.0.0.1:6060\r\n").status, 200);
    assert_eq!(of_host("Host: [::1]:6060\r\n").status, 200);
    assert_refused(&of_host("Host: rebound.example\r\n"), 403, "the host \"rebound.example\"");
    assert_refused(&of_host("Host: 10.1.2.3\r\n"), 403, "the host");
    assert_refused(&of_host(""), 403, "the host \"\"");
    assert_refused(
        &of_host("Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"),
        403,
        "another site",
    );
    assert_eq!(of_host("Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n").status, 200);
}

#[test]
fn an_address_that_others_can_reach_must_be_meant() {
    let error = debug::serve("0.0.0.0:0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("beyond_loopback"), "{error}");
    let server = ServerConfig::new().beyond_loopback(true).host("lisle.example").serve("0.0.0.0:0").unwrap();
    let port = server.local_addr().port();
    let ask = |host: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET /debug/vars HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(ask("lisle.example").starts_with("HTTP/1.1 200"));
    assert!(ask("10.1.2.3:6060").starts_with("HTTP/1.1 200"));
    assert!(ask("other.example").starts_with("HTTP/1.1 403"));
    server.stop();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it has given its address back");
}

/// One whose profile is being taken, for an hour.
fn client_that_profiles() -> TcpStream {
    loop {
        let mut client = TcpStream::connect(address()).unwrap();
        client.write_all(b"GET /debug/pprof/profile?seconds=3600 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        // It has begun when another is refused; unless it came while we had one, and was refused itself.
        while client.read(&mut [0; 64]).is_err() {
            match CpuProfile::start() {
                Err(_) => return client,
                Ok(profile) => drop(profile),
            }
        }
    }
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer holds signals back")]
fn a_second_cpu_profile_at_a_time_is_refused_and_a_client_that_goes_away_ends_its_own() {
    let _one = one_cpu_profile_at_a_time();
    let first = client_that_profiles();
    let second = CpuProfile::start().unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AlreadyExists);
    assert_refused(&get("/debug/pprof/profile?seconds=1"), 409, "is being taken already");
    drop(first);
    let end = Instant::now() + Duration::from_secs(60);
    while CpuProfile::start().is_err() {
        assert!(Instant::now() < end, "the profile of the client that has gone is still being taken");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_client_that_goes_away_is_noticed_although_it_has_said_more_than_was_read() {
    let _one = one_cpu_profile_at_a_time();
    let mut client = client_that_profiles();
    client.write_all(b"GET /debug/ HTTP/1.1\r\n\r\n").unwrap();
    drop(client);
    common::until(|| CpuProfile::start().is_ok());
}

#[test]
fn a_client_that_never_stops_talking_is_left_in_the_end() {
    let mut client = TcpStream::connect(address()).unwrap();
    client.write_all(b"GET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let start = Instant::now();
    while client.write_all(b"x").is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10), "it is listened to for ever");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let server = debug::serve("127.0.0.1:0").unwrap();
    let connect = || TcpStream::connect(server.local_addr()).unwrap();
    let mut silent: Vec<_> = (0..32).map(|_| connect()).collect();
    let mut beyond = connect();
    let mut text = String::new();
    beyond.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("32 requests"), "{text}");
    // The others are still served.
    silent[31].write_all(b"GET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    silent[31].read_to_string(&mut text).unwrap();
    assert!(text.contains("HTTP/1.1 200"), "{text}");
    server.stop();
}

// ---- profiles ----

#[inline(never)]
fn burn(stop: &AtomicBool) -> u64 {
    let mut sum = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(1));
    }
    sum
}

/// Waits until the process has used so much processor time: samples are taken by that, not by the clock.
fn use_processor(time: Duration) {
    let used = || {
        let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is valid during the call.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut used) };
        Duration::new(used.tv_sec.try_into().unwrap(), used.tv_nsec.try_into().unwrap())
    };
    let end = used() + time;
    while used() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[inline(never)]
fn burn_elsewhere(stop: &AtomicBool) -> u64 {
    burn(stop) + 1
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer holds signals back")]
fn a_cpu_profile_has_threads_that_are_not_workers_those_of_blocking_calls_with_whole_stacks() {
    let _one = one_cpu_profile_at_a_time();
    let stop = AtomicBool::new(false);
    let mut bytes = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| burn(&stop));
        let blocked = scope.spawn(|| lisle::run(|| lisle::blocking(|| burn_elsewhere(&stop))));
        let profile = CpuProfile::start().unwrap();
        use_processor(Duration::from_millis(600));
        profile.stop(&mut bytes).unwrap();
        stop.store(true, Ordering::Relaxed);
        blocked.join().unwrap();
    });
    let samples = decode(&bytes);
    let of_blocking = samples.iter().filter(|sample| sample.is_in("burn_elsewhere"));
    assert!(of_blocking.clone().map(|sample| sample.values[0]).sum::<i64>() >= 5, "{samples:?}");
    for sample in of_blocking {
        assert!(!sample.functions.last().unwrap().starts_with('['), "nothing is missing: {sample:?}");
    }
    let foreign = |sample: &&Sample| sample.functions.last().unwrap().contains("a thread that is not lisle's");
    let foreign: Vec<_> = samples.iter().filter(foreign).collect();
    assert!(foreign.iter().any(|sample| sample.functions.len() >= 2 && sample.goroutine.is_none()), "{samples:?}");
}

#[inline(never)]
fn burn_for(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        black_box((0..1000_u64).map(black_box).sum::<u64>());
    }
}

#[test]
fn a_cpu_profile_has_whole_stacks_of_threads_that_begin_while_it_is_taken() {
    let _one = one_cpu_profile_at_a_time();
    let profile = CpuProfile::start().unwrap();
    // Many at once: each makes the profiler look, and find others that have only just begun.
    let begin = |_| lisle::Builder::new().own_thread(true).go(|| burn_for(Duration::from_millis(150))).unwrap();
    for _ in 0..8 {
        (0..10).map(begin).collect::<Vec<_>>().into_iter().for_each(|one| one.join().unwrap());
    }
    let mut bytes = Vec::new();
    profile.stop(&mut bytes).unwrap();
    let samples = decode(&bytes);
    assert!(samples.iter().any(|sample| sample.is_in("burn_for")), "{samples:?}");
    let is_cut = |sample: &&Sample| sample.functions.last().unwrap().contains("not lisle's");
    // Until a thread has said what it is, nobody can know; none computes for long before.
    let cut: i64 = samples.iter().filter(is_cut).map(|sample| sample.values[0]).sum();
    let all: i64 = samples.iter().map(|sample| sample.values[0]).sum();
    assert!(10 * cut < all, "{cut} of {all}: {samples:?}");
}

#[test]
fn a_cpu_profile_finds_its_way_out_of_a_library_that_was_loaded_while_it_is_taken() {
    #[inline(never)]
    fn burn_in(function: extern "C" fn(f64) -> f64) -> f64 {
        let end = Instant::now() + Duration::from_millis(700);
        let mut sum = 0.0;
        while Instant::now() < end {
            sum += (0..2000).map(|n| function(black_box(f64::from(n) + 0.3))).sum::<f64>();
        }
        sum
    }
    let _one = one_cpu_profile_at_a_time();
    let profile = CpuProfile::start().unwrap();
    // SAFETY: the name is a C string; the library's initialisers are harmless.
    let library = unsafe { libc::dlopen(c"libm.so.6".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null());
    // SAFETY: the library is loaded, and stays.
    let function = unsafe { libc::dlsym(library, c"lgamma".as_ptr()) };
    assert!(!function.is_null());
    // SAFETY: that is how C declares it.
    let function = unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn(f64) -> f64>(function) };
    std::thread::sleep(Duration::from_millis(200));
    go(move || burn_in(function)).join().unwrap();
    let mut bytes = Vec::new();
    profile.stop(&mut bytes).unwrap();
    let samples = decode(&bytes);
    let count = |is_meant: &dyn Fn(&Sample) -> bool| -> i64 {
        samples.iter().filter(|sample| is_meant(sample)).map(|sample| sample.values[0]).sum()
    };
    let whole = count(&|sample| sample.is_in("burn_in") && !sample.functions.last().unwrap().starts_with('['));
    let in_library = count(&|sample| sample.functions[0].contains("lgamma") || sample.functions[0].contains("libm"));
    let lost = count(&|sample| sample.functions.last().unwrap().contains("callers not found"));
    assert!(in_library > 0 && whole > 10 * lost, "{whole} whole, {lost} lost, {in_library} inside: {samples:?}");
}

#[test]
#[cfg_attr(feature = "sanitizer", ignore = "a sanitizer's frames are many times as large as such a stack expects")]
fn a_goroutine_with_the_smallest_stack_can_take_every_profile() {
    let _one = one_cpu_profile_at_a_time();
    let take_all = || {
        let mut bytes = Vec::new();
        let cpu = CpuProfile::start().unwrap();
        cpu.stop(&mut bytes).unwrap();
        let kinds = [ProfileKind::Goroutine, ProfileKind::Block, ProfileKind::Mutex, ProfileKind::ThreadCreate];
        kinds.into_iter().for_each(|kind| write_profile(kind, &mut bytes).unwrap());
        write_profile(ProfileKind::GoroutineLeak, &mut bytes).unwrap();
        bytes.len() + debug::prometheus().len()
    };
    let builder = lisle::Builder::new().stack_size(lisle::MIN_STACK_SIZE);
    assert!(builder.go(take_all).unwrap().join().unwrap() > 0);
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer holds signals back")]
fn a_cpu_profile_has_stacks_from_the_goroutines_closure_on_with_number_and_labels() {
    let _one = one_cpu_profile_at_a_time();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // The smallest stack: the handler must not need it.
    let builder = lisle::Builder::new().stack_size(lisle::MIN_STACK_SIZE);
    let burner = builder.go(move || debug::with_labels(&[("tenant", "blue")], || burn(&flag))).unwrap();
    let id = i64::try_from(burner.goroutine().id()).unwrap();
    let profile = CpuProfile::start().unwrap();
    use_processor(Duration::from_millis(600));
    let mut bytes = Vec::new();
    profile.stop(&mut bytes).unwrap();
    stop.store(true, Ordering::Relaxed);
    burner.join().unwrap();
    let samples = decode(&bytes);
    let own: Vec<_> = samples.iter().filter(|sample| sample.goroutine == Some(id)).collect();
    let nanos: i64 = own.iter().map(|sample| sample.values[1]).sum();
    // Others use the processor, too.
    assert!(nanos >= 20_000_000, "600 ms were used, but samples say {nanos} ns");
    for sample in own {
        assert!(sample.has_label("tenant", "blue"), "{sample:?}");
        let outermost = sample.functions.last().unwrap();
        assert!(outermost.contains("a_cpu_profile_has_stacks") && outermost.contains("closure"), "{sample:?}");
        assert!(sample.is_in("burn"), "{sample:?}");
    }
}

#[test]
#[cfg_attr(lisle_tsan, ignore = "ThreadSanitizer holds signals back")]
fn a_cpu_profile_as_text_names_the_functions_that_compute() {
    let _one = one_cpu_profile_at_a_time();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let burner = go(move || burn(&flag));
    // Others may use up the processor's time in which this one runs.
    let found = (0..20).any(|_| {
        let text = get("/debug/pprof/profile?seconds=1&debug=1").text();
        assert!(text.starts_with("cpu profile: total "), "{text}");
        text.lines()
            .any(|line| line.starts_with("#\t0x") && line.contains("pprof::burn\t") && line.contains("pprof.rs:"))
    });
    stop.store(true, Ordering::Relaxed);
    burner.join().unwrap();
    assert!(found, "the function that burns is in no profile");
}

#[inline(never)]
fn wait_here(receiver: &channel::Receiver<()>) {
    let _ = receiver.recv();
}

#[test]
fn the_goroutine_profile_counts_equal_stacks_with_equal_labels_together() {
    let (sender, receiver) = channel::bounded::<()>(0);
    let waiters: Vec<_> = (0..5)
        .map(|n| {
            let receiver = receiver.clone();
            let colour = if n < 3 { "blue" } else { "red" };
            go(move || debug::with_labels(&[("colour", colour)], || wait_here(&receiver)))
        })
        .collect();
    common::until(|| {
        let samples = profile(ProfileKind::Goroutine);
        let count = |colour: &str| {
            let own = samples.iter().filter(|sample| sample.is_in("wait_here") && sample.has_label("colour", colour));
            own.map(|sample| sample.values[0]).collect::<Vec<_>>()
        };
        count("blue") == [3] && count("red") == [2]
    });
    let text = get("/debug/pprof/goroutine?debug=1").text();
    assert!(text.starts_with("goroutine profile: total "), "{text}");
    assert!(text.contains("wait_here") && text.contains("# labels: {\"colour\":\"blue\"}"), "{text}");
    let dump = get("/debug/pprof/goroutine?debug=2").text();
    assert!(dump.contains("[chan receive"), "{dump}");
    drop(sender);
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
}

#[test]
#[cfg_attr(
    feature = "sanitizer",
    ignore = "there goroutine objects lie where the sanitizer wants them, and are only counted"
)]
fn the_goroutine_profile_has_those_that_have_not_started() {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = common::one_worker();
    let creator = runtime.go({
        let stop = Arc::clone(&stop);
        move || {
            let later = debug::with_labels(&[("not", "started")], || lisle::go_local(|| ()));
            black_box(burn(&stop));
            later.join().unwrap();
        }
    });
    let is_there =
        || profile(ProfileKind::Goroutine).iter().any(|one| one.labels.iter().any(|(_, text)| text == "started"));
    common::until(is_there);
    stop.store(true, Ordering::Relaxed);
    creator.join().unwrap();
}

#[inline(never)]
fn asks_for_a_thread() -> lisle::JoinHandle<()> {
    lisle::Builder::new().own_thread(true).go(|| lisle::park()).unwrap()
}

#[test]
fn threads_that_lisle_starts_are_counted_by_the_calls_that_created_them() {
    let own = asks_for_a_thread();
    common::until(|| get("/debug/pprof/threadcreate?debug=1").text().contains("pprof::asks_for_a_thread"));
    own.goroutine().unpark();
    own.join().unwrap();
    common::until(|| !get("/debug/pprof/threadcreate?debug=1").text().contains("pprof::asks_for_a_thread"));
}

#[test]
fn the_block_profile_has_the_stack_of_the_wait_and_its_length() {
    debug::set_block_profile_rate(Some(Duration::from_nanos(1)));
    let blocked = || -> i64 {
        let samples = profile(ProfileKind::Block);
        samples.iter().filter(|sample| sample.is_in("wait_here")).map(|sample| sample.values[1]).sum()
    };
    // Workers take note of the rate after some turns at the latest.
    common::until(|| {
        let (sender, receiver) = channel::bounded(0);
        let waiter = go(move || wait_here(&receiver));
        lisle::time::sleep(Duration::from_millis(5));
        drop(sender);
        waiter.join().unwrap();
        blocked() >= 4_000_000
    });
    debug::set_block_profile_rate(None);
}

#[inline(never)]
fn hold_and_release(lock: &Mutex<u32>) {
    let mut guard = lock.lock().unwrap();
    lisle::time::sleep(Duration::from_millis(5));
    *guard += 1;
}

#[test]
fn the_mutex_profile_has_the_holder_that_others_waited_for() {
    assert_eq!(debug::set_mutex_profile_fraction(1), 0);
    let lock = Mutex::new(0);
    common::until(|| {
        lisle::run(|| {
            lisle::scope(|scope| {
                for _ in 0..3 {
                    scope.go(|| hold_and_release(&lock));
                }
            });
        });
        let samples = profile(ProfileKind::Mutex);
        samples.iter().any(|sample| sample.is_in("hold_and_release") && sample.values[1] >= 1_000_000)
    });
    assert_eq!(debug::set_mutex_profile_fraction(0), 1);
    let text = get("/debug/pprof/mutex?debug=1").text();
    assert!(text.starts_with("--- contention:") && text.contains("hold_and_release"), "{text}");
    assert!(text.contains("debug::set_mutex_profile_fraction"), "it says that it is off: {text}");
}

#[test]
fn addresses_are_given_names_as_the_tool_asks_for_them() {
    let address = burn as *const () as usize + 1;
    let body = format!("{address:#x}+0x1");
    let length = body.len();
    let request =
        format!("POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    let text = send(&request).text();
    assert!(text.starts_with("num_symbols: 1\n"), "{text}");
    assert!(text.contains(&format!("{address:#x} ")) && text.trim_end().ends_with("burn"), "{text}");
    assert_eq!(get(&format!("/debug/pprof/symbol?{body}")).text(), text);
}

// ---- numbers and the page ----

#[test]
fn the_numbers_tell_of_goroutines_workers_and_stacks() {
    go(|| ()).join().unwrap();
    let text = get("/debug/metrics").text();
    for name in [
        "lisle_goroutines{runtime=\"0\",state=\"waiting\"}",
        "lisle_parks_total{runtime=\"0\"}",
        "lisle_worker_cpu_seconds_total{runtime=\"0\",worker=\"0\"}",
        "lisle_stacks{state=\"in_use\"}",
        "lisle_blocking_queue ",
        "lisle_wake_latency_seconds_bucket{le=\"+Inf\"}",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing in {text}");
    }
    let vars = get("/debug/vars");
    assert!(
        vars.head.contains("application/json") && vars.text().contains("\"goroutines_created\":"),
        "{}",
        vars.text()
    );
}

#[test]
fn wake_latencies_are_measured_once_somebody_has_asked() {
    let count = || -> u64 {
        let text = debug::prometheus();
        let line = text.lines().find(|line| line.starts_with("lisle_wake_latency_seconds_count")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = count();
    common::until(|| {
        let waiter = go(lisle::park);
        lisle::time::sleep(Duration::from_millis(1));
        waiter.goroutine().unpark();
        waiter.join().unwrap();
        count() > before
    });
}

#[test]
fn the_page_loads_nothing_from_elsewhere_and_runs_no_script_but_its_own() {
    let page = get("/debug/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("Content-Security-Policy: default-src 'none'; script-src 'nonce-"), "{}", page.head);
    let text = page.text();
    assert!(!text.contains("NONCE") && !text.contains("innerHTML"), "the scripts run by a number, and write no markup");
    let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "it loads nothing from elsewhere");
}

#[test]
fn what_the_program_has_said_comes_as_data_and_bounded() {
    let (sender, receiver) = channel::bounded::<()>(0);
    let name = "</script><img src=x>\"";
    let waiter = lisle::Builder::new().name(name).go(move || wait_here(&receiver)).unwrap();
    let id = waiter.goroutine().id();
    common::until(|| {
        let one = get(&format!("/debug/api/goroutine?id={id}"));
        one.status == 200 && one.text().contains("wait_here")
    });
    let found = get("/debug/api/goroutines?q=%3C%2Fscript%3E%3Cimg");
    assert!(found.head.contains("application/json") && found.head.contains("nosniff"), "{}", found.head);
    assert!(found.text().contains(&format!("\"id\":{id}")), "{}", found.text());
    let groups = get("/debug/api/groups").text();
    assert!(groups.contains("tests/pprof.rs") && groups.contains("chan receive"), "{groups}");
    drop(sender);
    waiter.join().unwrap();
    common::until(|| get(&format!("/debug/api/goroutine?id={id}")).status == 404);
    assert_refused(&get(&format!("/debug/api/goroutine?id={id}")), 404, "there is no goroutine");
    assert_refused(&get("/debug/api/goroutine"), 400, "id");
}
