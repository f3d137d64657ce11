//! From the address of an instruction to functions, files and lines.
//!
//! The `backtrace` crate reads the debug information of the executable and of its libraries, which takes some
//! milliseconds at the first look (more in debug builds). What was found is kept: a program has only so many places
//! from which calls are made.
//!
//! Reading debug information takes more stack than a goroutine may have, so that a goroutine has it done by a thread.

use crate::sched::worker::Worker;
use crate::threads;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Who wrote a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    User,
    /// The standard library.
    Std,
    /// lisle, and the stack switch.
    Runtime,
}

/// One function at one address: the function itself, or one that was inlined into it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Demangled, without the hash; `None` if nothing is known.
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) origin: Origin,
}

/// What lies at one address: the innermost inlined function first, the real one last. Never empty.
pub(crate) type Frames = Arc<[Frame]>;

fn known() -> &'static Mutex<HashMap<usize, Frames>> {
    static KNOWN: OnceLock<Mutex<HashMap<usize, Frames>>> = OnceLock::new();
    KNOWN.get_or_init(Mutex::default)
}

/// Looks addresses up, as `unwind` gives them.
pub(crate) fn resolve(addresses: &[usize]) -> Vec<Frames> {
    let get = |address: &usize| lock_known().get(address).map(Arc::clone);
    let missing: Vec<usize> = addresses.iter().copied().filter(|address| get(address).is_none()).collect();
    if !missing.is_empty() {
        look_up(&missing);
    }
    addresses.iter().map(|address| get(address).unwrap_or_else(|| Arc::new([unknown()]))).collect()
}

/// The function at an address, which may be any: so it is not kept.
#[cfg(feature = "pprof")]
pub(crate) fn function_at(address: usize) -> Option<String> {
    look_up_one(address).last()?.function.clone()
}

fn lock_known() -> std::sync::MutexGuard<'static, HashMap<usize, Frames>> {
    known().lock().unwrap_or_else(PoisonError::into_inner)
}

fn look_up(addresses: &[usize]) {
    let look = || {
        for &address in addresses {
            // Not under the lock: it takes long.
            let frames = look_up_one(address);
            lock_known().entry(address).or_insert(frames);
        }
    };
    if Worker::with_current(|worker| worker.is_none_or(|worker| worker.running().is_none())) {
        return look();
    }
    // Without a thread the addresses stay unknown.
    let _ = threads::beside("lisle-symbols", look);
}

fn look_up_one(address: usize) -> Frames {
    let mut frames = Vec::new();
    // It takes addresses to return to, and looks one byte before.
    backtrace::resolve(std::ptr::without_provenance_mut(address.wrapping_add(1)), |symbol| {
        // The alternate form leaves out the hash.
        let function = symbol.name().map(|name| format!("{name:#}"));
        let file = symbol.filename().map(|path| path.to_string_lossy().into_owned());
        let origin = origin(function.as_deref(), file.as_deref());
        frames.push(Frame { function, file, line: symbol.lineno(), origin });
    });
    if frames.is_empty() { Arc::new([unknown()]) } else { frames.into() }
}

fn unknown() -> Frame {
    Frame { function: None, file: None, line: None, origin: Origin::User }
}

/// By the function's path; where the debug information has no paths for inlined functions (`line-tables-only`), by the
/// file.
fn origin(function: Option<&str>, file: Option<&str>) -> Origin {
    const OWN_SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/");
    let path = function.unwrap_or_default().trim_start_matches(['<', '&', '*']);
    let is_in =
        |crates: &[&str]| crates.iter().any(|name| path.strip_prefix(name).is_some_and(|rest| rest.starts_with("::")));
    let lies_in = |folders: &[&str]| file.is_some_and(|file| folders.iter().any(|folder| file.contains(folder)));
    if is_in(&["lisle", "corosensei"]) || path.starts_with("stack_init_trampoline") {
        Origin::Runtime
    } else if is_in(&["std", "core", "alloc"]) || path.starts_with("__rust_try") {
        Origin::Std
    } else if lies_in(&[OWN_SOURCES, "/corosensei-"]) {
        Origin::Runtime
    } else if lies_in(&["/library/std/src/", "/library/core/src/", "/library/alloc/src/"]) {
        Origin::Std
    } else {
        Origin::User
    }
}

const BACKTRACE_BEGINS: &str = "__rust_begin_short_backtrace";

/// The part of a stack that tells the user something, the innermost frame first: without the inside of the lisle call
/// that it waits in, and without what lies below the goroutine's closure or a thread's function. All of it if nothing of
/// the user's is there.
pub(crate) fn visible(stack: &[&Frame]) -> Range<usize> {
    // std's mark, below which its own start of a thread, or of `main`, lies.
    let is_mark = |frame: &&Frame| frame.function.as_deref().is_some_and(|name| name.contains(BACKTRACE_BEGINS));
    let stack = &stack[..stack.iter().position(is_mark).unwrap_or(stack.len())];
    let is_user = |frame: &&Frame| frame.origin == Origin::User;
    let (Some(first), Some(last)) = (stack.iter().position(is_user), stack.iter().rposition(is_user)) else {
        return 0..stack.len();
    };
    // From the runtime's frame that the user, or the standard library on its behalf, has called.
    let called = stack[..first].iter().rposition(|frame| frame.origin == Origin::Runtime);
    called.unwrap_or(0)..last + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_function_without_hash_a_file_and_a_line() {
        let here = crate::debug::unwind::here();
        let frames = &resolve(&[here.pc])[0];
        // With optimisation this function is inlined into its caller, and `here` into this one.
        let name = "an_address_has_a_function_without_hash_a_file_and_a_line";
        let own = frames.iter().find(|frame| frame.function.as_ref().is_some_and(|function| function.ends_with(name)));
        let own = own.unwrap_or_else(|| panic!("{frames:?}"));
        assert!(own.file.as_deref().unwrap().ends_with("symbol.rs") && own.line.is_some(), "{own:?}");
        assert!(Arc::ptr_eq(frames, &resolve(&[here.pc])[0]), "it is kept");
    }

    #[cfg(feature = "pprof")]
    #[test]
    fn what_anybody_asks_for_is_not_kept() {
        let address = what_anybody_asks_for_is_not_kept as *const () as usize + 1;
        assert!(function_at(address).unwrap().ends_with("what_anybody_asks_for_is_not_kept"));
        assert!(!lock_known().contains_key(&address));
    }

    #[test]
    fn nonsense_has_no_name() {
        assert_eq!(resolve(&[8])[0][..], [unknown()]);
    }

    #[test]
    fn origins_are_told_by_path_or_file() {
        let by_name = |name| origin(Some(name), Some("/somewhere/src/main.rs"));
        assert_eq!(by_name("<lisle::channel::Receiver<T>>::recv"), Origin::Runtime);
        assert_eq!(by_name("lisle_tools::main"), Origin::User);
        assert_eq!(by_name("core::ops::function::FnOnce::call_once"), Origin::Std);
        assert_eq!(origin(Some("call_once"), Some("/rustc/0/library/core/src/ops/function.rs")), Origin::Std);
    }

    #[test]
    fn what_the_user_did_not_write_is_left_out_at_both_ends() {
        let frame = |origin| Frame { function: None, file: None, line: None, origin };
        use Origin::{Runtime, Std, User};
        let stack = [Runtime, Std, Runtime, User, Std, User, Std, Runtime].map(frame);
        assert_eq!(visible(&stack.iter().collect::<Vec<_>>()), 2..6);
        let stack = [Runtime, Runtime].map(frame);
        assert_eq!(visible(&stack.iter().collect::<Vec<_>>()), 0..2);
        let stack = [User, Runtime].map(frame);
        assert_eq!(visible(&stack.iter().collect::<Vec<_>>()), 0..1);
    }
}
