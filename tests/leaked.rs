//! Goroutines that nothing can wake any more are found, and those that something can are not.
//!
//! ThreadSanitizer keeps memory of its own, so there nothing is looked for.
#![cfg(not(lisle_tsan))]

mod common;

use common::{in_child, stderr};
use lisle::channel::{Receiver, Sender, bounded, select};
use lisle::sync::{Mutex, RwLock, WaitGroup};
use lisle::{Builder, context, debug, go, time};
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Starts a goroutine of that name. Not inlined, so that what the closure was made of leaves no copies in the caller.
#[inline(never)]
fn start(name: &str, f: impl FnOnce() + Send + 'static) {
    drop(Builder::new().name(name).go(f).unwrap());
}

fn wait_here(receiver: &Receiver<u32>) {
    let _ = receiver.recv();
}

/// Overwrites what earlier calls have left on the stack.
#[inline(never)]
fn clean_stack() {
    black_box(&mut [0_u8; 64 * 1024]);
}

/// How many with that name are told.
#[inline(never)]
fn leaked(name: &str) -> usize {
    let leaks = debug::leaked().unwrap();
    leaks.iter().filter(|leak| leak.goroutine.name.as_deref() == Some(name)).count()
}

/// Of so many that are leaked, some may be hidden by copies of addresses that lie about by chance.
const LEAKS: usize = 20;
const MOST: usize = LEAKS / 2;

/// Leaks many, and looks until half of those with that name are told.
fn assert_leaked(leak: fn(), name: &str) {
    (0..LEAKS).for_each(|_| leak());
    clean_stack();
    look_until_leaked(name);
}

#[inline(never)]
fn look_until_leaked(name: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        clean_stack();
        let found = leaked(name);
        if found >= MOST {
            return;
        }
        assert!(Instant::now() < end, "{found} of {LEAKS}: {:?}\n{}", debug::leaked(), debug::dump());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn assert_not_leaked(name: &str) {
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(10));
        clean_stack();
        assert_eq!(leaked(name), 0, "{}", debug::dump());
    }
    assert!(debug::dump().lines().any(|line| line.contains(&format!("name {name:?}")) && !line.contains("[running")));
}

/// Calls the test in a process of its own: what others have left in memory may hide a leak.
fn alone(test: &str, run: fn()) {
    match in_child(test, &[]) {
        Some(output) => {
            assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output))
        }
        None => run(),
    }
}

macro_rules! tests {
    ($($module:ident: $($test:ident)*;)*) => {
        $(mod $module { $(#[test] fn $test() { super::alone(concat!(stringify!($module), "::", stringify!($test)), super::programs::$test); })* })*
    };
}

tests! {
    found:
        a_receiver_that_has_the_only_sender
        a_sender_that_has_the_only_receiver
        one_that_keeps_the_other_side_on_the_heap
        two_that_wait_for_each_other
        a_chain_that_hangs_on_one
        one_that_waits_for_a_group_that_nobody_else_has
        one_that_wants_its_own_lock
        two_with_two_locks
        a_select_of_what_nobody_sends_on
        one_that_waits_for_a_context_that_only_it_can_cancel
        one_although_heaps_have_neighbours_that_look_like_a_part_of_them;
    not_found:
        a_sender_in_a_static
        a_sender_in_a_box_of_a_static
        a_sender_in_a_thread_local_of_a_worker
        a_sender_on_the_stack_of_a_thread
        a_sender_of_a_goroutine_that_runs_or_sleeps_or_is_in_a_blocking_call
        a_sender_of_one_that_waits_with_a_deadline
        a_sender_in_the_buffer_of_a_channel_in_use
        a_sender_that_a_call_will_use_that_is_not_due_yet
        a_sender_in_the_result_of_one_that_has_ended
        children_of_a_scope_that_its_owner_keeps_alive
        a_sender_in_a_block_that_looks_as_if_it_had_been_freed;
}

mod programs {
    use super::*;

    #[inline(never)]
    fn receive_from_itself() {
        let (sender, receiver) = bounded::<u32>(0);
        start("receives from itself", move || {
            let _ = receiver.recv();
            drop(sender);
        });
    }

    pub(super) fn a_receiver_that_has_the_only_sender() {
        assert_leaked(receive_from_itself, "receives from itself");
    }

    #[inline(never)]
    fn send_to_itself() {
        let (sender, receiver) = bounded::<u32>(0);
        start("sends to itself", move || {
            let _ = sender.send(1);
            drop(receiver);
        });
    }

    pub(super) fn a_sender_that_has_the_only_receiver() {
        assert_leaked(send_to_itself, "sends to itself");
    }

    #[inline(never)]
    fn boxed() {
        let (sender, receiver) = bounded::<u32>(0);
        let kept: Vec<Box<Sender<u32>>> = (0..40).map(|_| Box::new(sender.clone())).collect();
        drop(sender);
        start("has it in a vector of boxes", move || {
            let _ = receiver.recv();
            drop(kept);
        });
    }

    pub(super) fn one_that_keeps_the_other_side_on_the_heap() {
        assert_leaked(boxed, "has it in a vector of boxes");
    }

    #[inline(never)]
    fn pair() {
        let ((to_a, of_a), (to_b, of_b)) = (bounded::<u32>(0), bounded::<u32>(0));
        start("the first of two", move || {
            let _ = of_a.recv();
            let _ = to_b.send(1);
        });
        start("the second of two", move || {
            let _ = of_b.recv();
            let _ = to_a.send(1);
        });
    }

    pub(super) fn two_that_wait_for_each_other() {
        assert_leaked(pair, "the second of two");
        look_until_leaked("the first of two");
    }

    /// Puts memory right before each heap that begins at a multiple of 64 MiB, in place of what nobody can use there: the system
    /// then shows both as one part. Says before how many.
    fn make_neighbours() -> usize {
        const HEAP_ALIGN: usize = 64 << 20;
        const LENGTH: usize = 64 * 1024;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let address = |text: &str| usize::from_str_radix(text, 16).unwrap();
        let bounds = |line: &str| {
            line.split_once(' ').unwrap().0.split_once('-').map(|(a, b)| (address(a), address(b))).unwrap()
        };
        let mut made = 0;
        for (before, line) in maps.lines().zip(maps.lines().skip(1)) {
            let ((start, _), (before_start, before_end)) = (bounds(line), bounds(before));
            let is_heap = start.is_multiple_of(HEAP_ALIGN) && line.contains(" rw-p ") && line.ends_with(" 0 ");
            let room = if before.contains(" ---p ") { start - before_start } else { start - before_end };
            if !is_heap || room < LENGTH {
                continue;
            }
            let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let flags = flags | libc::MAP_NORESERVE | libc::MAP_FIXED;
            let at = std::ptr::without_provenance_mut(start - LENGTH);
            // SAFETY: a new mapping where nothing is, or what another heap has reserved and does not come to use here.
            assert_ne!(unsafe { libc::mmap(at, LENGTH, access, flags, -1, 0) }, libc::MAP_FAILED);
            made += 1;
        }
        made
    }

    pub(super) fn one_although_heaps_have_neighbours_that_look_like_a_part_of_them() {
        // The workers' heaps are made, and this thread's.
        (0..LEAKS).for_each(|_| receive_from_itself());
        look_until_leaked("receives from itself");
        assert_ne!(make_neighbours(), 0, "{}", std::fs::read_to_string("/proc/self/maps").unwrap());
        (0..LEAKS).for_each(|_| send_to_itself());
        look_until_leaked("sends to itself");
    }

    #[inline(never)]
    fn chain() {
        let mut last: Receiver<u32> = {
            let (sender, receiver) = bounded(0);
            start("the head of the chain", move || {
                let (_own, own) = bounded::<u32>(0);
                let _ = own.recv();
                let _ = sender.send(1);
            });
            receiver
        };
        for link in 0..5 {
            let (sender, receiver) = bounded(0);
            let before = std::mem::replace(&mut last, receiver);
            start(&format!("link {link}"), move || {
                let _ = before.recv();
                let _ = sender.send(1);
            });
        }
        start("the tail of the chain", move || wait_here(&last));
    }

    pub(super) fn a_chain_that_hangs_on_one() {
        assert_leaked(chain, "the tail of the chain");
    }

    #[inline(never)]
    fn never_done() {
        let group = WaitGroup::new();
        group.add(1);
        start("waits for a group", move || group.wait());
    }

    pub(super) fn one_that_waits_for_a_group_that_nobody_else_has() {
        assert_leaked(never_done, "waits for a group");
    }

    #[inline(never)]
    fn twice() {
        let lock = Arc::new(Mutex::new(0));
        start("locks twice", move || {
            let first = lock.lock();
            let _second = lock.lock();
            drop(first);
        });
    }

    pub(super) fn one_that_wants_its_own_lock() {
        assert_leaked(twice, "locks twice");
    }

    #[inline(never)]
    fn two_locks() {
        let (a, b) = (Arc::new(Mutex::new(0)), Arc::new(RwLock::new(0)));
        let both = Arc::new(lisle::sync::Barrier::new(2));
        let (a2, b2, both2) = (Arc::clone(&a), Arc::clone(&b), Arc::clone(&both));
        start("a, then b", move || {
            let _a = a.lock();
            both.wait();
            let _b = b.write();
        });
        start("b, then a", move || {
            let _b = b2.read();
            both2.wait();
            let _a = a2.lock();
        });
    }

    pub(super) fn two_with_two_locks() {
        assert_leaked(two_locks, "a, then b");
        look_until_leaked("b, then a");
    }

    #[inline(never)]
    fn selects() {
        let ((s1, r1), (s2, r2)) = (bounded::<u32>(0), bounded::<u32>(0));
        start("selects", move || {
            select! {
                recv(r1) -> _ => {}
                recv(r2) -> _ => {}
            }
            drop((s1, s2));
        });
    }

    pub(super) fn a_select_of_what_nobody_sends_on() {
        assert_leaked(selects, "selects");
    }

    #[inline(never)]
    fn forgotten_context() {
        let (ctx, cancel) = context::with_cancel(&context::background());
        start("waits for its own context", move || {
            ctx.wait();
            drop(cancel);
        });
    }

    pub(super) fn one_that_waits_for_a_context_that_only_it_can_cancel() {
        assert_leaked(forgotten_context, "waits for its own context");
    }

    pub(super) fn a_sender_in_a_static() {
        static KEPT: std::sync::Mutex<Option<Sender<u32>>> = std::sync::Mutex::new(None);
        let (sender, receiver) = bounded(0);
        *KEPT.lock().unwrap() = Some(sender);
        start("a static has the sender", move || wait_here(&receiver));
        assert_not_leaked("a static has the sender");
        drop(KEPT.lock().unwrap().take());
    }

    pub(super) fn a_sender_in_a_box_of_a_static() {
        static KEPT: std::sync::Mutex<Vec<Arc<Sender<u32>>>> = std::sync::Mutex::new(Vec::new());
        let (sender, receiver) = bounded(0);
        KEPT.lock().unwrap().push(Arc::new(sender));
        start("a box of a static has it", move || wait_here(&receiver));
        assert_not_leaked("a box of a static has it");
        KEPT.lock().unwrap().clear();
    }

    pub(super) fn a_sender_in_a_thread_local_of_a_worker() {
        thread_local! {
            static KEPT: RefCell<Option<Sender<u32>>> = const { RefCell::new(None) };
        }
        let (sender, receiver) = bounded(0);
        go(move || KEPT.set(Some(sender))).join().unwrap();
        start("a thread-local has it", move || wait_here(&receiver));
        assert_not_leaked("a thread-local has it");
    }

    pub(super) fn a_sender_on_the_stack_of_a_thread() {
        let (sender, receiver) = bounded::<u32>(0);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(sender);
        });
        start("a thread has it", move || wait_here(&receiver));
        assert_not_leaked("a thread has it");
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
    }

    pub(super) fn a_sender_of_a_goroutine_that_runs_or_sleeps_or_is_in_a_blocking_call() {
        let stop = Arc::new(AtomicBool::new(false));
        let holds = |hold: fn(&AtomicBool)| {
            let (sender, receiver) = bounded::<u32>(0);
            let stopped = Arc::clone(&stop);
            go(move || {
                while !stopped.load(Ordering::Relaxed) {
                    hold(&stopped);
                }
                drop(sender);
            });
            receiver
        };
        let running = holds(|_| lisle::yield_now());
        start("one that runs has it", move || wait_here(&running));
        let sleeping = holds(|_| time::sleep(Duration::from_millis(20)));
        start("one that sleeps has it", move || wait_here(&sleeping));
        let blocking = holds(|_| lisle::blocking(|| std::thread::sleep(Duration::from_millis(20))));
        start("one in a blocking call has it", move || wait_here(&blocking));
        for name in ["one that runs has it", "one that sleeps has it", "one in a blocking call has it"] {
            assert_not_leaked(name);
        }
        stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn a_sender_of_one_that_waits_with_a_deadline() {
        let ((sender, receiver), (_keep, waits)) = (bounded::<u32>(0), bounded::<u32>(0));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        go(move || {
            while !stopped.load(Ordering::Relaxed) {
                let _ = waits.recv_timeout(Duration::from_millis(20));
            }
            drop(sender);
        });
        start("one with a deadline has it", move || wait_here(&receiver));
        assert_not_leaked("one with a deadline has it");
        stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn a_sender_in_the_buffer_of_a_channel_in_use() {
        let (sender, receiver) = bounded::<u32>(0);
        let (to_buffer, buffer) = bounded(1);
        to_buffer.send(sender).unwrap();
        start("a buffer has it", move || wait_here(&receiver));
        assert_not_leaked("a buffer has it");
        drop(buffer.recv());
    }

    pub(super) fn a_sender_that_a_call_will_use_that_is_not_due_yet() {
        let (sender, receiver) = bounded::<u32>(0);
        let call = time::after_func(Duration::from_secs(3600), move || sender.send(1).unwrap());
        start("a call to come has it", move || wait_here(&receiver));
        assert_not_leaked("a call to come has it");
        call.stop();
    }

    pub(super) fn a_sender_in_the_result_of_one_that_has_ended() {
        let (sender, receiver) = bounded::<u32>(0);
        let handle = go(move || sender);
        while !handle.is_finished() {
            std::thread::yield_now();
        }
        start("a result has it", move || wait_here(&receiver));
        assert_not_leaked("a result has it");
        drop(handle.join());
    }

    /// What malloc writes into the second word of a block when it is freed. A later owner who has not written there yet finds
    /// it again, such as a vector with room for more than it has.
    fn freed_word() -> usize {
        // SAFETY: any size will do; the block is freed once.
        let block = unsafe {
            let block = libc::malloc(40);
            libc::free(block);
            block
        };
        let mut word = [0_u8; 8];
        let local = libc::iovec { iov_base: word.as_mut_ptr().cast(), iov_len: 8 };
        let remote = libc::iovec { iov_base: block.wrapping_byte_add(8), iov_len: 8 };
        // SAFETY: the local vector describes `word`; the remote one is for the kernel to read or to refuse.
        assert_eq!(unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) }, 8);
        usize::from_ne_bytes(word)
    }

    static KEPT: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());

    #[inline(never)]
    fn keep_in_block_that_looks_freed() {
        let (sender, receiver) = bounded::<u32>(0);
        let sender = Box::into_raw(Box::new(sender)).expose_provenance();
        // Longer than the blocks that `freed_word` has seen: their own word is cleared when they are allocated.
        let block = Box::leak(vec![sender, freed_word(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].into_boxed_slice());
        KEPT.lock().unwrap().push(block.as_ptr().expose_provenance());
        start("a block that looks freed has it", move || wait_here(&receiver));
    }

    pub(super) fn a_sender_in_a_block_that_looks_as_if_it_had_been_freed() {
        (0..LEAKS).for_each(|_| keep_in_block_that_looks_freed());
        assert_not_leaked("a block that looks freed has it");
    }

    pub(super) fn children_of_a_scope_that_its_owner_keeps_alive() {
        let (sender, receiver) = bounded::<u32>(0);
        let ended = go(move || {
            let words = [1, 2, 3];
            lisle::scope(|scope| {
                let receiver = &receiver;
                let words = &words;
                scope.go(move || {
                    wait_here(receiver);
                    words.len()
                });
            });
        });
        // The owner waits for its child, and the child for what is here.
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(10));
            assert!(debug::leaked().unwrap().is_empty(), "{:?}\n{}", debug::leaked(), debug::dump());
        }
        drop(sender);
        ended.join().unwrap();
    }
}

#[test]
fn it_can_be_asked_by_a_goroutine_on_a_small_stack_while_others_come_and_go() {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let busy = go(move || {
        while !stopped.load(Ordering::Relaxed) {
            let (sender, receiver) = bounded(0);
            (0..20).for_each(|n| {
                drop(go({
                    let sender = sender.clone();
                    move || sender.send(n)
                }))
            });
            drop(sender);
            assert_eq!(receiver.iter().count(), 20);
        }
    });
    let builder = Builder::new().stack_size(lisle::MIN_STACK_SIZE);
    let asking = builder.go(|| (0..20).map(|_| debug::leaked().unwrap()).collect::<Vec<_>>()).unwrap();
    for leaks in asking.join().unwrap() {
        let of_busy = |leak: &debug::Leak| leak.goroutine.name.is_none() && leak.waited < Duration::from_millis(5);
        assert!(!leaks.iter().any(of_busy), "{leaks:?}");
    }
    stop.store(true, Ordering::Relaxed);
    busy.join().unwrap();
}

/// A hole in memory that others may have made for a guard, as the C library does at the ends of threads' stacks.
#[test]
fn memory_that_cannot_be_touched_is_no_obstacle() {
    const GUARD_INSTALL: libc::c_int = 102;
    let name = "memory_that_cannot_be_touched_is_no_obstacle";
    if let Some(output) = in_child(name, &[]) {
        assert!(output.status.success(), "{}", stderr(&output));
        return;
    }
    let (length, access) = (64 << 20, libc::PROT_READ | libc::PROT_WRITE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, twice as long as what is used of it, which nobody else knows of.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), 2 * length, access, flags, -1, 0) };
    assert_ne!(map, libc::MAP_FAILED);
    // One at a place where a heap could begin, and one elsewhere.
    let aligned = map.wrapping_byte_add(map.addr().wrapping_neg() % length);
    // SAFETY: the parts of the mapping before and behind, none of which is in use.
    unsafe {
        libc::munmap(map, aligned.addr() - map.addr());
        let other = libc::mmap(std::ptr::null_mut(), 1 << 20, access, flags, -1, 0);
        for guarded in [aligned, other] {
            if libc::madvise(guarded, 4096, GUARD_INSTALL) != 0 {
                return eprintln!("this kernel has no such guards");
            }
        }
    }
    go(|| ()).join().unwrap();
    debug::leaked().unwrap();
}

/// The numbers of the processes that this one has made.
fn children() -> Vec<i32> {
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_own = |number: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // Behind the name, which stands in parentheses: the state, and the parent.
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(&own)
    };
    numbers.filter(is_own).collect()
}

/// Whether the kernel takes it first when memory is short.
fn is_expendable(child: &i32) -> bool {
    std::fs::read_to_string(format!("/proc/{child}/oom_score_adj")).is_ok_and(|score| score.trim() == "1000")
}

#[test]
fn where_memory_is_short_the_copy_goes_first() {
    go(|| ()).join().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                debug::leaked().unwrap();
            }
        });
        let end = Instant::now() + Duration::from_secs(20);
        while !children().iter().any(is_expendable) && Instant::now() < end {}
        stop.store(true, Ordering::Relaxed);
        assert!(Instant::now() < end);
    });
}

#[test]
fn the_copy_of_the_process_does_not_outlive_it() {
    const MARK: &str = "LISLE_TEST_DIES";
    if std::env::var_os(MARK).is_some() {
        go(|| ()).join().unwrap();
        std::thread::spawn(|| {
            loop {
                debug::leaked().unwrap();
            }
        });
        loop {
            // Not before it has asked to die with its parent, which it does before it offers itself to be killed.
            if let Some(&child) = children().iter().find(|child| is_expendable(child)) {
                println!("\ncopy {child}");
                // SAFETY: stops a process that is ours, or that has ended and not been waited for.
                unsafe { libc::kill(child, libc::SIGSTOP) };
                // SAFETY: ends this process.
                unsafe { libc::_exit(0) };
            }
        }
    }
    let mut dying = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_copy_of_the_process_does_not_outlive_it", "--test-threads=1", "--nocapture"])
        .env(MARK, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = dying.stdout.take().unwrap();
    dying.wait().unwrap();
    // The copy has the other end of the pipe, too.
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut stdout = std::io::BufReader::new(stdout);
        for line in std::io::BufRead::lines(&mut stdout).map_while(Result::ok) {
            if let Some(copy) = line.strip_prefix("copy ") {
                let _ = tell.send(copy.parse::<i32>().ok());
            }
        }
        tell.send(None)
    });
    let copy = told.recv_timeout(Duration::from_secs(20)).unwrap().expect("it has stopped a copy");
    if told.recv_timeout(Duration::from_secs(20)).is_err() {
        // What is left of it would hold this program's output open, too.
        // SAFETY: its parent has ended, so that this is our own leftover, or nobody's.
        unsafe { libc::kill(copy, libc::SIGKILL) };
        panic!("the copy is still there");
    }
}

#[test]
fn where_a_sandbox_forbids_to_read_memory_it_says_so() {
    let name = "where_a_sandbox_forbids_to_read_memory_it_says_so";
    if let Some(output) = in_child(name, &[]) {
        assert!(output.status.success(), "{}", stderr(&output));
        return;
    }
    go(|| ()).join().unwrap();
    let error = std::thread::spawn(|| {
        forbid_to_read_memory();
        debug::leaked().map(|leaks| leaks.len())
    });
    let error = error.join().unwrap().expect_err("it has seen nothing, which is not the same as no leaks");
    assert!(error.to_string().contains("could not read its memory"), "{error}");
}

/// For the calling thread.
fn forbid_to_read_memory() {
    let statement = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        // The number of the call.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_process_vm_readv as u32, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32, 0, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program is valid during the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter), 0);
    }
}

/// They have numbers that others have, too.
#[test]
fn what_a_failed_check_has_left_behind_is_no_leak_and_in_no_dump() {
    #[inline(never)]
    fn check_that_leaves_one() {
        let failure = lisle::testing::Config::new().explore(|| {
            let (sender, receiver) = bounded::<u32>(0);
            start("left by a check", move || {
                wait_here(&receiver);
                drop(sender);
            });
        });
        assert_eq!(failure.expect_err("it waits for itself").kind(), lisle::testing::FailureKind::LeftOver);
    }
    (0..LEAKS).for_each(|_| check_that_leaves_one());
    clean_stack();
    assert_eq!(leaked("left by a check"), 0);
    assert!(!debug::dump().contains("left by a check"));
}
