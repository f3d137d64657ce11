//! Walking up a stack: from a place in the code, a stack pointer and a frame pointer to all the calls under way.
//!
//! `framehop` reads the tables that the compiler leaves for exceptions (`.eh_frame`), which are in memory anyway, also
//! in stripped programs: no file is read. Frame pointers alone would not do, since default builds have none.
//!
//! # Rules
//! - [`unwind`] may be called in a signal handler: it takes no lock, allocates nothing, makes no system call, and reads
//!   no stack beyond the bounds it was given. It needs some 6 KiB of stack, in a debug build 20.
//! - What it needs that is not in the caller's hands is the table of loaded modules. Whoever is about to look at stacks
//!   calls [`refresh`] first, outside of handlers; the table is published by one pointer, and old ones are never freed
//!   (there is a new one only when a library was loaded or unloaded).
//! - A [`Cache`] is one caller's at a time: each handler, each dump has its own.
//!
//! # Where a goroutine's stack ends
//! At its high end lie the trampoline of the stack switch, whose table entry framehop cannot evaluate (it leads on to
//! the worker's stack), and what the trampoline calls. Both lie within [`ENTRY`] bytes of the end, where nothing of the
//! user's can be: a walk that comes there is complete.
//!
//! # What can go wrong
//! A stack that changes under the walk gives nonsense, but neither faults nor loops: reads stay within the bounds, and
//! each step goes up. The caller finds out by other means that it has changed (`registry`). A library that is unloaded
//! while its frames are being walked cannot be: it would be unloaded under running code.

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, MustNotAllocateDuringUnwind, Unwinder};
use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where a walk begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Registers {
    pub(crate) pc: usize,
    pub(crate) sp: usize,
    pub(crate) bp: usize,
}

/// How far a walk came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// To the entry of the goroutine, or of the thread.
    Complete,
    /// The buffer is full; the frames nearest to the entry are missing.
    Full,
    /// A frame could not be left: foreign code without tables, or a stack that changed.
    Lost,
}

/// What a walk found: how many addresses it wrote, the innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) frames: usize,
    pub(crate) end: End,
}

/// Memory that a walk needs, and what it learned about the frames it met. Some 60 KiB on the heap.
pub(crate) struct Cache(CacheX86_64<MustNotAllocateDuringUnwind>);

impl Cache {
    pub(crate) fn new() -> Self {
        Self(CacheX86_64::new_in())
    }
}

/// A stack, or a part of it, as it lies in memory or in a copy.
#[derive(Clone, Debug)]
pub(crate) struct StackMemory {
    /// The addresses that can be read.
    pub(crate) bounds: Range<usize>,
    /// Where the first of them is to be read: the same address, or the start of a copy.
    pub(crate) lies_at: usize,
    /// The high end of the whole stack.
    pub(crate) entry: usize,
}

impl StackMemory {
    /// A whole stack, in place.
    pub(crate) fn in_place(bounds: Range<usize>) -> Self {
        Self { lies_at: bounds.start, entry: bounds.end, bounds }
    }
}

/// What lies so near to the high end of a goroutine's stack is not the user's.
const ENTRY: usize = 64;

type Table = UnwinderX86_64<&'static [u8], MustNotAllocateDuringUnwind>;

struct Modules {
    table: Table,
    /// The dynamic linker's count of changes when the table was made.
    changes: u64,
}

static MODULES: AtomicPtr<Modules> = AtomicPtr::new(std::ptr::null_mut());

/// Where a step up a stack leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// To the caller, who goes on here.
    To(FrameAddress),
    Complete,
    Lost,
}

/// What it takes to go up a stack.
pub(super) struct Steps<'a> {
    modules: &'static Modules,
    cache: &'a mut Cache,
    stack: &'a StackMemory,
}

impl Steps<'_> {
    /// From the call at `address` to its caller. Each word that is read, and where it lies, passes through `see`. What
    /// comes of it depends on those words, the address, and the registers, of which framehop knows three.
    ///
    /// # Safety
    /// As [`unwind`].
    #[inline(always)]
    pub(super) unsafe fn step(
        &mut self,
        address: FrameAddress,
        registers: &mut UnwindRegsX86_64,
        mut see: impl FnMut(u64, u64) -> u64,
    ) -> Step {
        let mut read = |slot: u64| {
            let address = usize::try_from(slot).map_err(|_| ())?;
            let bounds = &self.stack.bounds;
            let is_within = address >= bounds.start && address <= bounds.end.saturating_sub(size_of::<usize>());
            if !is_within || !address.is_multiple_of(align_of::<usize>()) {
                return Err(());
            }
            let address = address - bounds.start + self.stack.lies_at;
            // SAFETY: aligned, and within memory that is readable, as the caller promises. Volatile: its owner may be
            // writing to it.
            Ok(see(slot, unsafe { std::ptr::with_exposed_provenance::<usize>(address).read_volatile() } as u64))
        };
        let sp = registers.sp();
        let next = self.modules.table.unwind_frame(address, registers, &mut self.cache.0, &mut read);
        match next.map(|address| address.map(FrameAddress::from_return_address)) {
            Ok(Some(Some(next))) if registers.sp() > sp => Step::To(next),
            Ok(None) => Step::Complete,
            _ => Step::Lost,
        }
    }
}

/// Walks up `stack` from `from`. Writes into `out` the addresses of the instructions that are
/// being carried out: `from.pc`, then, for each call, the last byte of the call (the return address minus one, which
/// belongs to the caller's function and line also where the call never returns).
///
/// Async-signal-safe. The memory may change meanwhile. Not inlined: handlers that find no room for a walk need a frame of
/// their own that fits.
///
/// # Safety
/// All of the memory of `stack` is mapped, readable, and aligned as the stack is.
#[inline(never)]
pub(crate) unsafe fn unwind(cache: &mut Cache, from: Registers, stack: &StackMemory, out: &mut [usize]) -> Outcome {
    // SAFETY: as the caller promises.
    unwind_by(cache, from, stack, out, |steps, address, registers| unsafe {
        steps.step(address, registers, |_, value| value)
    })
}

/// As [`unwind`], with the steps that `step` makes.
#[inline(always)]
pub(super) fn unwind_by(
    cache: &mut Cache,
    from: Registers,
    stack: &StackMemory,
    out: &mut [usize],
    mut step: impl FnMut(&mut Steps<'_>, FrameAddress, &mut UnwindRegsX86_64) -> Step,
) -> Outcome {
    // SAFETY: null, or a table that `refresh` has leaked.
    let Some(modules) = (unsafe { MODULES.load(Ordering::Acquire).as_ref() }) else {
        return Outcome { frames: 0, end: End::Lost };
    };
    let mut steps = Steps { modules, cache, stack };
    let mut registers = UnwindRegsX86_64::new(from.pc as u64, from.sp as u64, from.bp as u64);
    let mut address = FrameAddress::from_instruction_pointer(from.pc as u64);
    let mut frames = 0;
    let end = loop {
        if frames > 0 && registers.sp().saturating_add(ENTRY as u64) >= stack.entry as u64 {
            break End::Complete;
        }
        let Some(slot) = out.get_mut(frames) else { break End::Full };
        *slot = usize::try_from(address.address_for_lookup()).unwrap_or(0);
        frames += 1;
        match step(&mut steps, address, &mut registers) {
            Step::To(next) => address = next,
            Step::Complete => break End::Complete,
            Step::Lost => break End::Lost,
        }
    };
    Outcome { frames, end }
}

/// Tells one table of modules from the next.
pub(super) fn table() -> usize {
    MODULES.load(Ordering::Relaxed).addr()
}

/// Makes a new table of modules if any were loaded or unloaded since the last time. Not for signal handlers.
pub(crate) fn refresh() {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: null, or a table that was leaked below.
    let present = unsafe { MODULES.load(Ordering::Acquire).as_ref() };
    if present.is_some_and(|present| present.changes == changes()) {
        return;
    }
    let mut found = Found { modules: Vec::new(), changes: 0 };
    // SAFETY: the callback has the right signature and the pointer stays valid during the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), std::ptr::from_mut(&mut found).cast::<c_void>()) };
    let mut table = Table::new();
    found.modules.into_iter().for_each(|module| table.add_module(module));
    let modules = Box::leak(Box::new(Modules { table, changes: found.changes }));
    MODULES.store(modules, Ordering::Release);
}

/// How often something has been loaded or unloaded.
fn changes() -> u64 {
    /// Called for the first object; there is always one.
    unsafe extern "C" fn first(info: *mut libc::dl_phdr_info, _size: libc::size_t, data: *mut c_void) -> c_int {
        // SAFETY: both are valid during the callback, by the contract of dl_iterate_phdr, and `data` is the number below.
        unsafe { *data.cast::<u64>() = (*info).dlpi_adds + (*info).dlpi_subs };
        1
    }
    let mut changes = 0_u64;
    // SAFETY: the callback has the right signature and the pointer stays valid during the call.
    unsafe { libc::dl_iterate_phdr(Some(first), std::ptr::from_mut(&mut changes).cast::<c_void>()) };
    changes
}

struct Found {
    modules: Vec<Module<&'static [u8]>>,
    changes: u64,
}

/// Called by the dynamic linker for each loaded object.
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: libc::size_t, data: *mut c_void) -> c_int {
    // SAFETY: both pointers are valid during the callback, by the contract of dl_iterate_phdr, and `data` is the
    // `Found` that `refresh` passed.
    let (info, found) = unsafe { (&*info, &mut *data.cast::<Found>()) };
    found.changes = info.dlpi_adds + info.dlpi_subs;
    // SAFETY: as above: the linker's object.
    found.modules.extend(unsafe { module(info) });
    0
}

/// A module and its tables, if it has any.
///
/// # Safety
/// `info` is the dynamic linker's description of an object that is loaded.
unsafe fn module(info: &libc::dl_phdr_info) -> Option<Module<&'static [u8]>> {
    // SAFETY: the linker's table of program headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let segment = |header: &libc::Elf64_Phdr| header.p_vaddr..header.p_vaddr + header.p_memsz;
    let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let whole = loaded().map(|h| segment(h).start).min()?..loaded().map(|h| segment(h).end).max()?;
    let text = loaded().find(|header| header.p_flags & libc::PF_X != 0).map(segment)?;
    let index = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME).map(segment)?;
    let base = info.dlpi_addr;
    let bytes = |svma: &Range<u64>| {
        let start = std::ptr::with_exposed_provenance::<u8>(usize::try_from(base + svma.start).ok()?);
        // SAFETY: a part of a segment that the linker has loaded, which is readable and does not change (tables are
        // read-only data). It stays as long as the module, whose frames are all that leads to it.
        Some(unsafe { std::slice::from_raw_parts(start, usize::try_from(svma.end - svma.start).ok()?) })
    };
    let index_bytes = bytes(&index)?;
    // The header of the index, by the Linux Standard Base: a version, three encodings, and the place of the tables,
    // which every linker in use writes as a 32-bit offset from where it stands.
    const RELATIVE_SDATA4: u8 = 0x1b;
    let [1, RELATIVE_SDATA4, _, _, offset @ ..] = index_bytes.first_chunk::<8>()? else { return None };
    let start = (index.start + 4).checked_add_signed(i64::from(i32::from_ne_bytes(*offset)))?;
    // How long the tables are is not told: to the end of their segment at the most.
    let end = loaded().map(segment).find(|segment| segment.contains(&start))?.end;
    let tables = start..end;
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma: Some(text),
        eh_frame: Some(bytes(&tables)?),
        eh_frame_svma: Some(tables),
        eh_frame_hdr: Some(index_bytes),
        eh_frame_hdr_svma: Some(index),
        ..Default::default()
    };
    // SAFETY: null, or a C string of the linker's.
    let name = (!info.dlpi_name.is_null()).then(|| unsafe { CStr::from_ptr(info.dlpi_name) });
    let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Some(Module::new(name, base + whole.start..base + whole.end, base, sections))
}

/// The registers of the place where this is called, for a walk that begins there.
#[cfg_attr(not(feature = "pprof"), allow(dead_code))]
#[inline(always)]
pub(crate) fn here() -> Registers {
    let (pc, sp, bp);
    // SAFETY: reads three registers and changes nothing.
    unsafe {
        std::arch::asm!(
            "lea {pc}, [rip]", "mov {sp}, rsp", "mov {bp}, rbp",
            pc = out(reg) pc, sp = out(reg) sp, bp = out(reg) bp,
            options(nomem, nostack, preserves_flags),
        );
    }
    Registers { pc, sp, bp }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds of the calling thread's stack, as far as a test needs them.
    fn above(sp: usize, bytes: usize) -> Range<usize> {
        sp..sp + bytes
    }

    #[inline(never)]
    fn nested(depth: usize, out: &mut [usize]) -> Outcome {
        if depth > 0 {
            return std::hint::black_box(nested(depth - 1, out));
        }
        let from = here();
        // SAFETY: so much of the test's thread's stack is in use.
        unsafe {
            unwind(
                &mut Cache::new(),
                from,
                &StackMemory::in_place(above(from.sp, if cfg!(feature = "sanitizer") { 6144 } else { 2048 })),
                out,
            )
        }
    }

    #[test]
    fn a_walk_finds_each_frame_and_stays_within_its_bounds_and_its_buffer() {
        refresh();
        let mut out = [0; 64];
        let outcome = nested(5, &mut out);
        assert!(outcome.frames >= 6, "{outcome:?}");
        let frames = &out[..outcome.frames];
        // The recursive calls return to one place.
        assert!(frames.windows(4).any(|calls| calls.iter().all(|&address| address == calls[0])), "{frames:x?}");
        let mut short = [0; 3];
        assert_eq!(nested(5, &mut short), Outcome { frames: 3, end: End::Full });
    }

    #[test]
    fn a_walk_from_nonsense_ends() {
        refresh();
        let stack = [usize::MAX; 64];
        let start = stack.as_ptr().expose_provenance();
        let bounds = start..start + size_of_val(&stack);
        let places = [0, 8, usize::MAX, start, a_walk_from_nonsense_ends as fn() as usize];
        for pc in places {
            for sp in [0, start, start + 13, usize::MAX - 7, bounds.end] {
                for bp in [0, start, sp, usize::MAX] {
                    let mut out = [0; 16];
                    // SAFETY: the array is readable.
                    let outcome = unsafe {
                        unwind(
                            &mut Cache::new(),
                            Registers { pc, sp, bp },
                            &StackMemory::in_place(bounds.clone()),
                            &mut out,
                        )
                    };
                    assert!(outcome.frames <= out.len());
                }
            }
        }
    }
}
