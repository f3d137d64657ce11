//! The scan for frame-scoped thread-locals.
//!
//! Goroutines of one worker interleave at parks, so their calls do not nest. A crate that stores a pointer
//! into the current frame in a thread-local, and restores the former one on the way out (`scoped-tls` and
//! its kin), assumes that they do. All goroutine stacks lie in one size-aligned address range, so such a
//! thread-local can be seen: before a switch, each word of the thread-local blocks (`PT_TLS` of the
//! executable and of the loaded libraries but libc) is compared with the range. A *hit* keeps the
//! goroutine on its thread until it is woken (see `keep_thread`).
//!
//! The comparison is a shift and a compare for each word, which the compiler vectorises; the range is
//! aligned to its size, so `word >> shift == start >> shift` is the whole test. The end of the range is
//! never the end of a stack (`slab` leaves a page free), so a one-past-the-end pointer is inside, too.
//!
//! # Stale hits
//! A thread-local that is never reset still points into a stack whose goroutine has ended. A word is called
//! stale only when a goroutine *ends* while the word still points into its own stack; then
//! that stack is never used again (64 bytes of bookkeeping and 256 KiB of address space), so that no later
//! frame can put the very same address there and be mistaken for the stale one.
//!
//! # What it does not see
//! Pointers to what lies elsewhere (on the heap, on an OS thread's stack), frame order that is kept on the heap,
//! pointers that are packed or tagged beyond recognition, libraries opened between two looks (`MODULES` is
//! re-read about once a second, and at every park while a module's block is not yet allocated). The page
//! "Contract" says so to the user.

use crate::stack::slab;
use crate::tsan;
use std::arch::x86_64::{
    __m128, __m128i, _mm_and_si128, _mm_castps_si128, _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi32,
    _mm_shuffle_ps,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts changes in the set of loaded objects; the watchdog looks.
static LOADED: AtomicU64 = AtomicU64::new(0);

/// One thread's view of one module's thread-local block, or of a part of it.
#[derive(Clone, Debug)]
struct Block {
    /// Empty for the executable, as the dynamic linker has it.
    module: String,
    start: usize,
    /// The number that its first word has among those of the module.
    first_word: usize,
    words: usize,
}

/// A word that points into a goroutine's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    block: usize,
    word: usize,
    pub(crate) value: usize,
}

impl Hit {
    /// Which word it is, whatever its value.
    pub(crate) fn place(self) -> (usize, usize) {
        (self.block, self.word)
    }
}

/// A thread-local variable.
pub(crate) struct Variable {
    module: String,
    offset: usize,
}

impl Variable {
    /// In words for people. Reads the module's file.
    pub(crate) fn describe(&self) -> String {
        let Self { module, offset } = self;
        let file = if module.is_empty() { "the executable" } else { module };
        match symbol_at(module, *offset) {
            Some(symbol) => format!("`{symbol}` of {file}"),
            None => format!("the thread-local at offset {offset:#x} of {file} (no symbol found)"),
        }
    }
}

/// What the upper half of a word is, masked, that points into the stacks' range: the same four times, as the comparison wants
/// it.
struct Pattern {
    mask: __m128i,
    prefix: __m128i,
}

/// One worker's scanner. It looks at the thread-locals of the thread that made it.
///
/// What a glance needs lies in plain cells, for it is taken at each switch: a borrow of the rest would cost as much as
/// comparing ten words.
pub(crate) struct Scanner {
    /// The first of the blocks, which is all there is in most programs.
    first: Cell<(usize, usize)>,
    /// How to look through it.
    look: Cell<Look>,
    /// There are more blocks.
    has_more: Cell<bool>,
    /// What `LOADED` was when the blocks were listed; `OUTDATED` while a module has a block that this thread has not
    /// allocated yet.
    listed_at: Cell<u64>,
    pattern: Pattern,
    shift: u32,
    prefix: usize,
    blocks: RefCell<Vec<Block>>,
    stale: RefCell<Vec<Hit>>,
}

/// No words, at an address that a slice may have.
const NO_BLOCK: (usize, usize) = (align_of::<usize>(), 0);

/// `LOADED` does not get there.
const OUTDATED: u64 = u64::MAX;

impl Scanner {
    /// For the calling thread. The stack range must exist.
    pub(crate) fn new(range: &slab::Range) -> Self {
        let (start, _) = range.bounds();
        let mask = u32::MAX << range.shift().saturating_sub(32);
        let this = Self {
            first: Cell::new(NO_BLOCK),
            look: Cell::new(any_upper),
            has_more: Cell::new(false),
            listed_at: Cell::new(OUTDATED),
            pattern: Pattern::new(mask, (start >> 32) as u32 & mask),
            shift: range.shift(),
            prefix: start >> range.shift(),
            blocks: RefCell::default(),
            stale: RefCell::default(),
        };
        this.refresh();
        this
    }

    /// Whether a glance shows that `scan` would find nothing.
    #[inline(always)]
    pub(crate) fn is_clean(&self) -> bool {
        self.is_current() && !self.has_hit()
    }

    #[inline(always)]
    fn is_current(&self) -> bool {
        self.listed_at.get() == LOADED.load(Ordering::Relaxed)
    }

    /// Looks for a word that points into a goroutine's stack and is not known to be stale.
    pub(crate) fn scan(&self) -> Option<Hit> {
        if !self.is_current() {
            self.refresh();
        }
        if self.has_hit() { self.find_hit() } else { None }
    }

    #[inline(always)]
    fn has_hit(&self) -> bool {
        let (start, words) = self.first.get();
        // SAFETY: they are those of the first block, if there is one.
        (self.look.get())(unsafe { words_at(start, words) }, &self.pattern)
            || (self.has_more.get() && self.another_has_hit())
    }

    #[inline(never)]
    fn another_has_hit(&self) -> bool {
        self.blocks.borrow().iter().skip(1).any(|block| any_upper(block.words(), &self.pattern))
    }

    #[cold]
    fn find_hit(&self) -> Option<Hit> {
        let mut live = None;
        let mut still_stale = Vec::new();
        let mut stale = self.stale.borrow_mut();
        for (index, block) in self.blocks.borrow().iter().enumerate() {
            for word in 0..block.words {
                let value = block.words()[word];
                if value >> self.shift != self.prefix {
                    continue;
                }
                let hit = Hit { block: index, word, value };
                if stale.contains(&hit) { still_stale.push(hit) } else { live = live.or(Some(hit)) }
            }
        }
        *stale = still_stale;
        live
    }

    /// A goroutine has ended; its stack was `bounds`. Whether a word still points there: then the word is
    /// stale from now on, and the stack must never be used again.
    #[inline(always)]
    pub(crate) fn retire(&self, bounds: (usize, usize)) -> bool {
        self.has_hit() && self.retire_hits(bounds)
    }

    #[cold]
    fn retire_hits(&self, bounds: (usize, usize)) -> bool {
        let mut found = false;
        let mut stale = self.stale.borrow_mut();
        for (index, block) in self.blocks.borrow().iter().enumerate() {
            for word in 0..block.words {
                let value = block.words()[word];
                if (bounds.0..=bounds.1).contains(&value) {
                    found = true;
                    let hit = Hit { block: index, word, value };
                    if !stale.contains(&hit) {
                        stale.push(hit);
                    }
                }
            }
        }
        found
    }

    /// Copies all blocks, for the lint.
    pub(crate) fn snapshot(&self) -> Vec<usize> {
        self.blocks.borrow().iter().flat_map(|block| block.words().iter().copied()).collect()
    }

    /// The words that differ from a snapshot.
    pub(crate) fn changed_since(&self, snapshot: &[usize]) -> Vec<Hit> {
        let blocks = self.blocks.borrow();
        let places = blocks.iter().enumerate().flat_map(|(b, block)| (0..block.words).map(move |w| (b, w)));
        places
            .zip(snapshot)
            .map(|((block, word), &before)| (Hit { block, word, value: blocks[block].words()[word] }, before))
            .filter(|(hit, before)| hit.value != *before)
            .map(|(hit, _)| hit)
            .collect()
    }

    /// Where a hit lies.
    pub(crate) fn variable(&self, hit: Hit) -> Variable {
        let Block { module, first_word, .. } = self.blocks.borrow()[hit.block].clone();
        Variable { module, offset: (first_word + hit.word) * size_of::<usize>() }
    }

    #[cold]
    fn refresh(&self) {
        let mut modules = Modules { blocks: Vec::new(), unresolved: false, sanitizers: sanitizers() };
        let loaded = LOADED.load(Ordering::Relaxed);
        // SAFETY: the callback has the right signature and the pointer stays valid during the call.
        unsafe { libc::dl_iterate_phdr(Some(visit), std::ptr::from_mut(&mut modules).cast::<c_void>()) };
        self.first.set(modules.blocks.first().map_or(NO_BLOCK, |block| (block.start, block.words)));
        self.look.set(look_through(self.first.get().1));
        self.has_more.set(modules.blocks.len() > 1);
        self.listed_at.set(if modules.unresolved { OUTDATED } else { loaded });
        self.blocks.replace(modules.blocks);
    }
}

/// Whether the upper half of any word, masked, is the prefix. Only the upper halves are compared, which takes half as many
/// vector registers; a range shorter than 4 GiB makes false alarms of this, which `find_hit` tells apart.
///
/// A function of its own that calls no other: the way to the switch, which is inlined, then saves no registers for it.
/// It takes a mask, a comparison and an `or` for four words. (AVX2 takes 3.2 ns and not 5.5 for 33 words; but a yield gained
/// 5 % by it, and a start and a rendezvous lost 2 %: the wider a load, the more often it overlaps with what was just stored
/// there in narrow words, which it then waits for.)
#[inline(never)]
fn any_upper(words: &[usize], pattern: &Pattern) -> bool {
    let Some(last) = words.last_chunk() else { return words.iter().any(|&word| pattern.is_hit(word)) };
    // The last four may overlap those before: cheaper than to look at what is left over one by one.
    pattern.is_in(last, words.as_chunks().0)
}

/// How to look through words.
type Look = fn(&[usize], &Pattern) -> bool;

/// As `any_upper`, for blocks of so many times four words, and one to four more: without a loop it takes 44 instructions for
/// 21 words and not 56, and a rendezvous there and back 2 % less (six layouts of the program each, nine runs).
#[inline(never)]
fn any_upper_of<const FOURS: usize>(words: &[usize], pattern: &Pattern) -> bool {
    if words.len().wrapping_sub(4 * FOURS + 1) < 4
        && let Some(fours) = words.as_chunks().0.first_chunk::<FOURS>()
        && let Some(last) = words.last_chunk()
    {
        return pattern.is_in(last, fours);
    }
    any_upper(words, pattern)
}

/// How to look through so many words.
fn look_through(words: usize) -> Look {
    const FEW: [Look; 12] = [
        any_upper,
        any_upper_of::<1>,
        any_upper_of::<2>,
        any_upper_of::<3>,
        any_upper_of::<4>,
        any_upper_of::<5>,
        any_upper_of::<6>,
        any_upper_of::<7>,
        any_upper_of::<8>,
        any_upper_of::<9>,
        any_upper_of::<10>,
        any_upper_of::<11>,
    ];
    FEW.get(words.saturating_sub(1) / 4).copied().unwrap_or(any_upper)
}

impl Pattern {
    fn new(mask: u32, prefix: u32) -> Self {
        // SAFETY: as in `is_in`.
        unsafe { Self { mask: _mm_set1_epi32(mask.cast_signed()), prefix: _mm_set1_epi32(prefix.cast_signed()) } }
    }

    fn is_hit(&self, word: usize) -> bool {
        self.is_in(&[word; 4], &[])
    }

    #[inline(always)]
    fn is_in(&self, last: &[usize; 4], others: &[[usize; 4]]) -> bool {
        // SAFETY: SSE2 is part of x86-64. Words and lanes are plain numbers, of the same size altogether.
        unsafe {
            let hits = |four: &[usize; 4]| {
                let [low, high] = std::mem::transmute::<[usize; 4], [__m128; 2]>(*four);
                let upper = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(low, high));
                _mm_cmpeq_epi32(_mm_and_si128(upper, self.mask), self.prefix)
            };
            let mut any = hits(last);
            for four in others {
                any = _mm_or_si128(any, hits(four));
            }
            _mm_movemask_epi8(any) != 0
        }
    }
}

impl Block {
    /// The block's words as they are now.
    #[inline]
    fn words(&self) -> &[usize] {
        // SAFETY: it is a block.
        unsafe { words_at(self.start, self.words) }
    }
}

/// The words of a block as they are now.
///
/// # Safety
/// Both numbers are those of a `Block` that the calling thread's `Scanner` has listed, or `NO_BLOCK`.
#[inline(always)]
unsafe fn words_at<'a>(start: usize, words: usize) -> &'a [usize] {
    let start = std::ptr::with_exposed_provenance::<usize>(start);
    // SAFETY: `visit` found the block allocated for this thread, and a `Scanner` stays on its thread.
    // A block lives as long as its module, whose unloading `LOADED` announces (a module with frames on
    // a stack or destructors pending cannot be unloaded). Its bytes are initialised, by the linker
    // from `.tdata` and `.tbss`. This thread writes nothing to them while the slice is used: no foreign
    // code runs between. Another thread may have a reference to an atomic that lies there and write to it
    // meanwhile, which the language calls a race with this plain read: no rule of the language covers that, but no
    // value is invalid for a word, a torn one is not possible on any machine we run on, and whatever comes
    // out is compared and nothing else. (Atomic reads of each word would be covered, but then nothing reads several words
    // at once, which is what makes the scan affordable.)
    unsafe { std::slice::from_raw_parts(start, words) }
}

struct Modules {
    blocks: Vec<Block>,
    unresolved: bool,
    /// See `sanitizers`.
    sanitizers: &'static [Range<usize>],
}

/// Called by the dynamic linker for each loaded object.
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: libc::size_t, data: *mut c_void) -> c_int {
    // SAFETY: both pointers are valid during the callback, by the contract of dl_iterate_phdr, and `data`
    // is the `Modules` that `refresh` passed.
    let (info, modules) = unsafe { (&*info, &mut *data.cast::<Modules>()) };
    // SAFETY: the linker's table of program headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let Some(header) = headers.iter().find(|header| header.p_type == libc::PT_TLS) else { return 0 };
    let name = if info.dlpi_name.is_null() {
        String::new()
    } else {
        // SAFETY: a C string of the linker's.
        unsafe { CStr::from_ptr(info.dlpi_name) }.to_string_lossy().into_owned()
    };
    if is_system(&name) {
        return 0;
    }
    if info.dlpi_tls_data.is_null() {
        modules.unresolved = true;
        return 0;
    }
    let start = info.dlpi_tls_data.expose_provenance();
    let aligned = start.next_multiple_of(size_of::<usize>());
    let end = start + usize::try_from(header.p_memsz).unwrap_or(0);
    let words = end.saturating_sub(aligned) / size_of::<usize>();
    let mut from = 0;
    let rest = words..words;
    for passed_over in modules.sanitizers.iter().filter(|_| name.is_empty()).chain([&rest]) {
        let until = passed_over.start.min(words);
        if from < until {
            let start = aligned + from * size_of::<usize>();
            modules.blocks.push(Block { module: name.clone(), start, first_word: from, words: until - from });
        }
        from = from.max(passed_over.end);
    }
    0
}

/// Which words of the executable's block are ThreadSanitizer's own: what it keeps of a goroutine's stack there is no pointer
/// into a frame that the program has. In order; none without it.
fn sanitizers() -> &'static [Range<usize>] {
    static WORDS: OnceLock<Vec<Range<usize>>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let symbols = if tsan::IS_ON { symbols_of("").unwrap_or_default() } else { Vec::new() };
        let is_its_own = |name: &str| name.contains("__tsan") || name.contains("__sanitizer");
        let words = |place: Range<usize>| place.start / size_of::<usize>()..place.end.div_ceil(size_of::<usize>());
        let mut found: Vec<_> =
            symbols.into_iter().filter(|(_, name)| is_its_own(name)).map(|(place, _)| words(place)).collect();
        found.sort_by_key(|words| words.start);
        found
    })
}

/// The C library and the dynamic linker keep no pointers into frames.
fn is_system(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    ["libc.so", "libc-", "libc.musl", "ld-linux", "ld-musl"].iter().any(|system| file.starts_with(system))
}

/// Counts the loaded objects; called by the watchdog about once a second, and before each check of `testing`.
pub(crate) fn check_loaded() {
    unsafe extern "C" fn count(info: *mut libc::dl_phdr_info, _size: libc::size_t, data: *mut c_void) -> c_int {
        // SAFETY: as in `visit`; `data` is the u64 below.
        unsafe { *data.cast::<u64>() = (*info).dlpi_adds + (*info).dlpi_subs };
        1
    }
    let mut changes = 0_u64;
    // SAFETY: as in `refresh`.
    unsafe { libc::dl_iterate_phdr(Some(count), std::ptr::from_mut(&mut changes).cast::<c_void>()) };
    LOADED.store(changes, Ordering::Relaxed);
}

/// The name of the thread-local symbol at `offset` in the block of a module, from its symbol table.
fn symbol_at(module: &str, offset: usize) -> Option<String> {
    let (_, name) = symbols_of(module)?.into_iter().find(|(place, _)| place.contains(&offset))?;
    // The alternate form leaves out the hash.
    Some(format!("{:#}", rustc_demangle::demangle(&name)))
}

/// The thread-local symbols of a module: where they lie in its block, and their names.
fn symbols_of(module: &str) -> Option<Vec<(Range<usize>, String)>> {
    use object::{Object, ObjectSymbol, SymbolKind};
    let path = if module.is_empty() { "/proc/self/exe" } else { module };
    let bytes = std::fs::read(path).ok()?;
    let file = object::File::parse(&*bytes).ok()?;
    let symbols = file.symbols().chain(file.dynamic_symbols()).filter(|symbol| symbol.kind() == SymbolKind::Tls);
    let place_and_name = symbols.filter_map(|symbol| {
        let start = usize::try_from(symbol.address()).ok()?;
        let end = start + usize::try_from(symbol.size().max(1)).ok()?;
        Some((start..end, symbol.name().ok()?.to_owned()))
    });
    Some(place_and_name.collect())
}

/// How often each creation site had to keep its thread, so that its later goroutines get one of their own.
#[derive(Default)]
pub(crate) struct Offenders {
    hits: HashMap<usize, u32>,
}

/// From so many hits on, goroutines of a creation site start with a thread of their own.
pub(crate) const OWN_THREAD_AFTER: u32 = 16;

impl Offenders {
    /// Counts a hit. Whether the site is over the limit now.
    pub(crate) fn count(&mut self, site: &'static std::panic::Location<'static>) -> bool {
        let hits = self.hits.entry(std::ptr::from_ref(site).addr()).or_insert(0);
        *hits += 1;
        *hits >= OWN_THREAD_AFTER
    }

    pub(crate) fn is_over(&self, site: &'static std::panic::Location<'static>) -> bool {
        self.hits.get(&std::ptr::from_ref(site).addr()).is_some_and(|&hits| hits >= OWN_THREAD_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_wherever_it_lies_in_a_block_of_any_length() {
        const PREFIX: usize = 0x7e00;
        let pattern = Pattern::new(!0xff, PREFIX as u32);
        let found = |words: &[usize]| {
            let found = look_through(words.len())(words, &pattern);
            assert_eq!(found, any_upper(words, &pattern));
            found
        };
        for length in 0..80 {
            // Halves that would match in the wrong place.
            let mut words = vec![PREFIX; length];
            assert!(!found(&words));
            for index in 0..length {
                words[index] = (PREFIX | 0x5a) << 32 | 7;
                assert!(found(&words), "word {index} of {length}");
                words[index] = (PREFIX | 0x100) << 32;
                assert!(!found(&words));
                words[index] = PREFIX;
            }
        }
    }

    #[test]
    fn a_check_looks_which_libraries_are_loaded() {
        LOADED.store(0, Ordering::Relaxed);
        crate::testing::check(|| assert_ne!(LOADED.load(Ordering::Relaxed), 0));
    }
}
