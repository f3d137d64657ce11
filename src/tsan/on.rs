//! What ThreadSanitizer is told, when the whole program is built for it (`cargo race`).
//!
//! ThreadSanitizer sees every access and every atomic of the program, lisle's among them. Left to itself it is wrong about
//! goroutines twice: two of one worker are one thread to it, so they never race; and what the scheduler does orders all of
//! them with each other, in fact and not by contract. So:
//!
//! - *Each goroutine is a fiber of its own* ([`Fiber`]), made where `go` is called (that is the stack that reports show,
//!   and the edge from the creator), and switched to around each slice, without an edge. Both switches are on the worker's
//!   side of the change of stacks. ThreadSanitizer keeps a stack of the functions that a fiber is in, and the worker's frames
//!   between the two switches come and go on it while the goroutine waits: so there are frames without meaning on top of
//!   the goroutine's own for them to take away ([`suspending`], [`resumed`]).
//! - *Goroutines that share a thread by right are one thread* ([`Fiber::share_thread`]): what `go_local` starts, and who
//!   starts it, may share what is not `Send`.
//! - *The scheduler is quiet* ([`quiet`]): within the guard neither accesses nor synchronisation count. The threads of the
//!   workers and the watchdog are quiet but for goroutines, and so is a goroutine in what it does to its worker (`Worker::with_current`), to the
//!   inside of a channel, and in a park. A goroutine that does not run is always quiet, since it stands in a park: so the
//!   worker's frames between the two switches, which every goroutine walks over, do not count either.
//! - *What the scheduler orders by contract is told* ([`tell`], by way of `observe`): the edges of the race detector.
//! - *Locks, joins, scopes and the parts that are built on them are ordinary code*: their atomics are what orders their
//!   users, and ThreadSanitizer reads them itself.
//!
//! User code never runs under a quiet guard: who calls it there lifts the guard ([`loud`]).
//!
//! # Edges that are told
//! ThreadSanitizer lets only the running goroutine take over or leave a clock, at an address. A channel's message can be
//! moved for one that waits; that one leaves its clock before it waits, and takes over what was left for it when it has its
//! verdict ([`Proxy`]). Whoever serves it takes over its clock on the way: so at a channel with a buffer a waiter's past
//! happens before what its server does next, which Go does not promise. A race that this hides is seen in a run in
//! which nobody waits.
//!
//! # Memory
//! - A stack that is used again is mapped anew (`begin_stack`), or the accesses of the one before would race with those of
//!   the one now; and its addresses are declared free, or a lock on it would order both.
//! - The last 256 fibers that ended are kept, since a race with a goroutine that has ended can be reported only as long as
//!   ThreadSanitizer remembers it.
//! - A fiber takes five memory maps, so there can be `vm.max_map_count` / 5 of them. [`admit`] refuses before that.
//!
//! Rejected: `#[sanitize(thread = "off")]` on the scheduler's modules (std's functions would count wherever it calls them);
//! suppressions for it (they are by name, and hide races of users whose data passes through); no fibers for goroutines that
//! have not started (their creation would have no stack).

use crate::race::detector::{Access, ByAddress, Edge, Passage};
use crate::sched::g::G;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::io;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, Once, OnceLock, PoisonError};

/// Whether ThreadSanitizer watches.
pub(crate) const IS_ON: bool = true;

// The interface of compiler-rt: `sanitizer/tsan_interface.h`, the annotations of `tsan_interface_ann.cpp`, and, from what
// `tsan_interface_java.h` has for virtual machines, the way to say that a part of a heap is free.
unsafe extern "C" {
    fn __tsan_func_entry(caller: *const c_void);
    fn __tsan_func_exit();
    fn __tsan_acquire(address: *mut c_void);
    fn __tsan_release(address: *mut c_void);
    fn __tsan_read1(address: *mut c_void);
    fn __tsan_write1(address: *mut c_void);
    fn __tsan_get_current_fiber() -> *mut c_void;
    fn __tsan_create_fiber(flags: c_uint) -> *mut c_void;
    fn __tsan_destroy_fiber(fiber: *mut c_void);
    fn __tsan_switch_to_fiber(fiber: *mut c_void, flags: c_uint);
    fn __tsan_set_fiber_name(fiber: *mut c_void, name: *const c_char);
    fn __tsan_ignore_thread_begin();
    fn __tsan_ignore_thread_end();
    fn __tsan_java_init(heap: usize, length: usize);
    fn __tsan_java_free(start: usize, length: usize);
    fn AnnotateIgnoreSyncBegin(file: *const c_char, line: c_int);
    fn AnnotateIgnoreSyncEnd(file: *const c_char, line: c_int);
}

/// A switch to a fiber orders nothing.
const NO_EDGE: c_uint = 1;

const LIST: &str = concat!(include_str!("suppressions.txt"), "\0");
static SUPPRESSIONS: [u8; LIST.len()] = *LIST.as_bytes().first_chunk().expect("of this very length");

/// What is no race, whatever ThreadSanitizer thinks. It calls this before it is set up itself: so this calls nothing, not
/// even what would be inlined, and gives nothing but an address.
#[unsafe(no_mangle)]
extern "C" fn __tsan_default_suppressions() -> *const c_char {
    &raw const SUPPRESSIONS as *const c_char
}

// ---- quiet and loud ----

thread_local! {
    /// How many quiet guards of the running goroutine, or thread, are open.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

fn begin_quiet() {
    // SAFETY: each has its counterpart below, on the same fiber; the file is not looked at.
    unsafe {
        __tsan_ignore_thread_begin();
        AnnotateIgnoreSyncBegin(null(), 0);
    }
}

fn end_quiet() {
    // SAFETY: see above.
    unsafe {
        AnnotateIgnoreSyncEnd(null(), 0);
        __tsan_ignore_thread_end();
    }
}

/// While it lives, what the caller does is not looked at. To be dropped on the goroutine, or thread, that made it.
#[must_use]
pub(crate) struct Quiet(());

/// Not for user code.
#[inline]
pub(crate) fn quiet() -> Quiet {
    if DEPTH.get() == 0 {
        begin_quiet();
    }
    DEPTH.set(DEPTH.get() + 1);
    Quiet(())
}

impl Drop for Quiet {
    #[inline]
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            end_quiet();
        }
    }
}

/// While it lives, all that the caller does is looked at, whatever quiet guards are around.
#[must_use]
pub(crate) struct Loud(u32);

#[inline]
pub(crate) fn loud() -> Loud {
    let depth = DEPTH.get();
    if depth > 0 {
        DEPTH.set(0);
        end_quiet();
    }
    Loud(depth)
}

impl Drop for Loud {
    #[inline]
    fn drop(&mut self) {
        if self.0 > 0 {
            begin_quiet();
            DEPTH.set(self.0);
        }
    }
}

// ---- fibers ----

/// What stands for the start of the calling thread.
fn thread() -> usize {
    DEPTH.with(|depth| std::ptr::from_ref(depth).addr())
}

/// What stands for the goroutines of the calling thread that share it.
fn sharers() -> usize {
    thread_local! {
        static SHARERS: Cell<u64> = const { Cell::new(0) };
    }
    SHARERS.with(|sharers| std::ptr::from_ref(sharers).addr())
}

/// More than there are functions between the worker's switch to a fiber and the change of stacks.
const FRAMES: usize = 8;

/// The running goroutine is about to leave its stack.
#[inline(always)]
pub(crate) fn suspending() {
    // SAFETY: taken back by `resumed`; the addresses of callers are not looked at.
    (0..FRAMES).for_each(|_| unsafe { __tsan_func_entry(null()) });
}

/// It is back.
#[inline(always)]
pub(crate) fn resumed() {
    // SAFETY: see above.
    (0..FRAMES).for_each(|_| unsafe { __tsan_func_exit() });
}

/// The calling thread is going to run goroutines.
pub(crate) fn begin_thread() {
    release(thread());
}

/// How many fibers of goroutines that have ended are kept.
const KEPT: usize = 256;
/// Memory maps that a fiber takes.
const MAPS: usize = 5;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static ENDED: Mutex<VecDeque<usize>> = Mutex::new(VecDeque::new());

/// A goroutine, as ThreadSanitizer knows it. Its address stands for the edge from its creation, too.
#[repr(C)]
pub(crate) struct Fiber {
    fiber: AtomicPtr<c_void>,
    /// `DEPTH`, while it does not run.
    depth: AtomicU32,
    shares_thread: AtomicBool,
}

/// The way back from a goroutine: the worker's fiber and its `DEPTH`.
pub(crate) struct Back(*mut c_void, u32);

impl Fiber {
    pub(crate) const fn none() -> Self {
        Self { fiber: AtomicPtr::new(null_mut()), depth: AtomicU32::new(0), shares_thread: AtomicBool::new(false) }
    }

    /// Makes it: its first step comes after what the caller has done so far.
    pub(crate) fn create(&self, id: u64, name: Option<&str>) {
        LIVE.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the fiber is switched to in `enter` only, and destroyed in `end`.
        let fiber = ordering(|| unsafe { __tsan_create_fiber(0) });
        rename(fiber, "goroutine", id, name);
        self.fiber.store(fiber, Ordering::Relaxed);
        release(self.address());
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// The worker is about to change to the goroutine's stack.
    ///
    /// Inlined, as `leave`: a function that is left by another than has entered it would take a frame that is not there
    /// from the stack that ThreadSanitizer keeps.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Back {
        // SAFETY: no preconditions.
        let back = Back(unsafe { __tsan_get_current_fiber() }, DEPTH.get());
        let (fiber, depth) = (self.fiber.load(Ordering::Relaxed), self.depth.load(Ordering::Relaxed));
        // SAFETY: made in `create`, and not destroyed, since the goroutine has not ended.
        unsafe { __tsan_switch_to_fiber(fiber, NO_EDGE) };
        if depth == 0 {
            // Its first slice comes after the start of the thread, which wrote the thread-locals.
            // SAFETY: as in `acquire`.
            unsafe { __tsan_acquire(sync_address(thread())) };
            begin_quiet();
        }
        DEPTH.set(depth.max(1));
        if self.shares_thread.load(Ordering::Relaxed) {
            acquire(sharers());
        }
        back
    }

    /// The goroutine's stack has been left.
    #[inline(always)]
    pub(crate) fn leave(&self, back: Back, ended: bool) {
        if self.shares_thread.load(Ordering::Relaxed) {
            release(sharers());
        }
        if crate::observe::is_explored() {
            release(all());
        }
        self.depth.store(DEPTH.get(), Ordering::Relaxed);
        if ended {
            // Or ThreadSanitizer would complain at its end.
            end_quiet();
        }
        // SAFETY: `enter` came from there, on this very thread.
        unsafe { __tsan_switch_to_fiber(back.0, NO_EDGE) };
        DEPTH.set(back.1);
    }

    /// From now on each of its slices comes after those before of all others of its thread for which this was called.
    pub(crate) fn share_thread(&self) {
        self.shares_thread.store(true, Ordering::Relaxed);
    }

    /// The goroutine has ended.
    pub(crate) fn retire(&self, id: u64, name: Option<&str>) {
        let _quiet = quiet();
        // It stays with ThreadSanitizer for a while, which does not know that it has ended.
        rename(self.fiber.load(Ordering::Relaxed), "ended goroutine", id, name);
        self.end();
    }

    /// The goroutine will never start: the caller, who drops its closure, goes on from its creation.
    pub(crate) fn cancel(&self) {
        acquire(self.address());
        self.end();
    }

    fn end(&self) {
        let _quiet = quiet();
        let fiber = self.fiber.swap(null_mut(), Ordering::Relaxed);
        let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push_back(fiber.expose_provenance());
        let oldest = if ended.len() > KEPT { ended.pop_front() } else { None };
        drop(ended);
        LIVE.fetch_sub(1, Ordering::Relaxed);
        if let Some(oldest) = oldest {
            // SAFETY: it has ended, so nobody is in it; it was taken out of the list once.
            unsafe { __tsan_destroy_fiber(std::ptr::with_exposed_provenance_mut(oldest)) };
        }
    }
}

/// The name by which reports know the fiber. `cargo race` takes it apart.
fn rename(fiber: *mut c_void, what: &str, id: u64, name: Option<&str>) {
    let name = name.map_or_else(String::new, |name| format!(" \"{}\"", name.replace('\0', "")));
    let name = CString::new(format!("{what} {id}{name}")).unwrap_or_default();
    // SAFETY: a fiber that is not destroyed; the name is copied.
    unsafe { __tsan_set_fiber_name(fiber, name.as_ptr()) };
}

/// Whether there can be one more goroutine.
///
/// # Errors
/// ThreadSanitizer would end the process.
pub(crate) fn admit() -> io::Result<()> {
    static MOST: OnceLock<usize> = OnceLock::new();
    let most = *MOST.get_or_init(|| {
        let maps = crate::stack::slab::max_map_count().parse().unwrap_or(65_530_usize);
        // The program's own maps, and ThreadSanitizer's, are not many.
        (maps / MAPS).saturating_sub(KEPT + maps / 50)
    });
    if LIVE.load(Ordering::Relaxed) < most {
        return Ok(());
    }
    let text = format!(
        "ThreadSanitizer can watch no more than {most} goroutines at once: each takes {MAPS} memory maps, and \
         vm.max_map_count is {}. Run fewer under cargo race, or raise it: sysctl -w vm.max_map_count=N",
        crate::stack::slab::max_map_count()
    );
    Err(io::Error::new(io::ErrorKind::OutOfMemory, text))
}

/// A goroutine gets a stack: what others did there is forgotten, and so are the locks that lay there.
///
/// The caller owns the stack, and nothing on it is alive.
pub(crate) fn begin_stack(low: usize, high: usize) {
    static HEAP: Once = Once::new();
    let length = high - low;
    HEAP.call_once(|| {
        let (start, end) = crate::stack::slab::range().expect("a stack lies in the stacks' range").bounds();
        // SAFETY: once in the process, before any other call of this kind.
        unsafe { __tsan_java_init(start, end - start) };
    });
    // SAFETY: a part of that range, in which nothing is alive. The memory itself is not touched.
    unsafe { __tsan_java_free(low, length) };
    let at = std::ptr::with_exposed_provenance_mut(low);
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let flags = flags | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: whole pages of a mapping that is the caller's, as it was mapped before. ThreadSanitizer sees the call, and
    // forgets what it knows about them.
    let mapped = unsafe { libc::mmap(at, length, protection, flags, -1, 0) };
    assert!(mapped == at, "a goroutine's stack could not be mapped anew: {}", io::Error::last_os_error());
    crate::stack::guard::use_huge_pages(low, length, false);
}

// ---- edges ----

/// Calls `f` such that its synchronisation counts. Its accesses do not: the caller may be on a stack that others use.
#[inline(always)]
fn ordering<R>(f: impl FnOnce() -> R) -> R {
    let is_quiet = DEPTH.get() > 0;
    if is_quiet {
        // SAFETY: undone below, and within a quiet guard.
        unsafe { AnnotateIgnoreSyncEnd(null(), 0) };
    }
    let result = f();
    if is_quiet {
        // SAFETY: see above.
        unsafe { AnnotateIgnoreSyncBegin(null(), 0) };
    }
    result
}

fn acquire(address: usize) {
    // SAFETY: an address of the program's memory (see `sync_address`); what lies there is not touched.
    ordering(|| unsafe { __tsan_acquire(sync_address(address)) });
}

fn release(address: usize) {
    // SAFETY: as above.
    ordering(|| unsafe { __tsan_release(sync_address(address)) });
}

/// Objects without size have addresses at which there is no memory: these share one.
fn sync_address(address: usize) -> *mut c_void {
    static WITHOUT_SIZE: AtomicUsize = AtomicUsize::new(0);
    if address < crate::stack::PAGE {
        return WITHOUT_SIZE.as_ptr().cast();
    }
    std::ptr::without_provenance_mut(address)
}

/// What stands for all goroutines of an explorer's, each as far as it was when it last left its thread.
fn all() -> usize {
    static ALL: AtomicUsize = AtomicUsize::new(0);
    std::ptr::from_ref(&ALL).addr()
}

/// What stands for all fences, which ThreadSanitizer does not know: each comes after those before.
fn fences() -> usize {
    static FENCES: AtomicUsize = AtomicUsize::new(0);
    std::ptr::from_ref(&FENCES).addr()
}

/// Memory whose address is a place for a clock.
type Place = Box<AtomicUsize>;

fn place() -> Place {
    Box::new(AtomicUsize::new(0))
}

fn address(place: &AtomicUsize) -> usize {
    std::ptr::from_ref(place).addr()
}

/// The clocks of one that waits on channels: what it left for others, and what they leave for it.
struct Proxy {
    from: Place,
    to: Place,
}

/// The clocks of a channel: of each of its slots in turn, or, without bounds, of each message.
#[derive(Default)]
struct Channel {
    slots: Vec<Place>,
    sends: usize,
    receives: usize,
    queue: VecDeque<Place>,
}

/// What one of the two sides of a message does to the clock that they share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Send,
    Receive,
}

#[derive(Default)]
struct State {
    channels: ByAddress<Channel>,
    waiting: HashMap<Who, Proxy>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

fn with_state<R>(f: impl FnOnce(&mut State) -> R) -> R {
    let _quiet = quiet();
    f(&mut STATE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A goroutine or thread: where its number is good, and the number.
type Who = (usize, u64);

fn who(id: u64) -> Who {
    (crate::observe::world(), id)
}

fn me() -> Who {
    who(crate::park::with_current(|g| g.id))
}

/// Takes over, or leaves, a clock. All of it under the lock, since a place may be freed when others come.
#[derive(Clone, Copy)]
enum Deed {
    Acquire(usize),
    Release(usize),
}

impl Deed {
    fn do_it(self) {
        match self {
            Self::Acquire(address) => acquire(address),
            Self::Release(address) => release(address),
        }
    }
}

impl State {
    /// The caller takes over what the waiter has done before it waited. 0 is the caller itself.
    fn hear(&self, waiter: u64) {
        if let Some(proxy) = self.waiting.get(&who(waiter)) {
            Deed::Acquire(address(&proxy.from)).do_it();
        }
    }

    /// The waiter will take over what the caller has done so far.
    fn answer(&self, waiter: u64) {
        if let Some(proxy) = self.waiting.get(&who(waiter)) {
            Deed::Release(address(&proxy.to)).do_it();
        }
    }

    fn pass(&mut self, channel: usize, capacity: usize, side: Side) {
        let channel = self.channels.entry(channel).or_default();
        if capacity == usize::MAX {
            return channel.pass_unbounded(side);
        }
        let count = if side == Side::Send { &mut channel.sends } else { &mut channel.receives };
        let slot = *count % capacity;
        *count += 1;
        while channel.slots.len() <= slot {
            channel.slots.push(place());
        }
        let place = address(&channel.slots[slot]);
        [Deed::Acquire(place), Deed::Release(place)].into_iter().for_each(Deed::do_it);
    }

    fn handed(&mut self, channel: usize, capacity: usize, (from, to): (u64, u64)) {
        self.hear(from);
        self.hear(to);
        if capacity > 0 {
            self.pass(channel, capacity, Side::Send);
            self.pass(channel, capacity, Side::Receive);
        }
        self.answer(from);
        self.answer(to);
    }
}

impl Channel {
    fn pass_unbounded(&mut self, side: Side) {
        match side {
            Side::Send => {
                let message = place();
                Deed::Release(address(&message)).do_it();
                self.queue.push_back(message);
            }
            Side::Receive => {
                if let Some(message) = self.queue.pop_front() {
                    Deed::Acquire(address(&message)).do_it();
                }
            }
        }
    }
}

/// The calling thread goes on after all that its goroutines have done.
pub(crate) fn end_explored() {
    acquire(all());
}

/// Tells ThreadSanitizer of an edge. (Not of those of atomics: it sees them itself.)
pub(crate) fn tell(edge: Edge) {
    match edge {
        Edge::Acquire(object) => acquire(object),
        Edge::Release(object) => release(object),
        Edge::AcquireAll => acquire(all()),
        Edge::Fence(_) => [Deed::Acquire(fences()), Deed::Release(fences())].into_iter().for_each(Deed::do_it),
        Edge::Introduce => {
            let me = me();
            with_state(|state| {
                let proxy = Proxy { from: place(), to: place() };
                Deed::Release(address(&proxy.from)).do_it();
                state.waiting.insert(me, proxy);
            });
        }
        Edge::Forget(object) => {
            with_state(|state| state.channels.remove(&object));
        }
        Edge::Load { .. } | Edge::Store { .. } | Edge::Modify { .. } => {}
    }
}

/// Tells ThreadSanitizer of a message that moves.
pub(crate) fn pass(channel: usize, capacity: usize, passage: Passage<'_>) {
    // Nobody has the number 0: who tells needs no proxy.
    let number = |g: Option<&G>| g.map_or(0, |g| g.id);
    with_state(|state| match passage {
        Passage::Buffered { sender } => {
            state.hear(number(sender));
            state.pass(channel, capacity, Side::Send);
            state.answer(number(sender));
        }
        Passage::Unbuffered => state.pass(channel, capacity, Side::Receive),
        Passage::Handed { from, to } => state.handed(channel, capacity, (number(from), number(to))),
    });
}

/// The caller's wait on channels has ended.
pub(crate) fn served() {
    let me = me();
    with_state(|state| {
        if let Some(proxy) = state.waiting.remove(&me) {
            Deed::Acquire(address(&proxy.to)).do_it();
        }
    });
}

/// The running goroutine ends.
pub(crate) fn ended() {
    let me = me();
    with_state(|state| state.waiting.remove(&me));
}

/// A variable that nothing protects is used, by way of a cell that cannot tear. (Under an explorer the race detector looks.)
pub(crate) fn access(access: &Access<'_>) {
    if crate::observe::is_explored() {
        return;
    }
    let at = std::ptr::without_provenance_mut(access.address);
    // SAFETY: the address is that of a cell; what lies there is not touched.
    unsafe { if access.writes { __tsan_write1(at) } else { __tsan_read1(at) } }
}
