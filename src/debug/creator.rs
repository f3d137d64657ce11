//! Which function created a goroutine, found when somebody looks: a goroutine knows the file, line and column of the call that
//! created it, since those cost nothing, and no more.
//!
//! # How it is found
//! - *By debug information*, which is exact. A call stands in the table of lines, or, where it was inlined, among the
//!   inlined functions with the place of their call; either gives an address, and [`symbol`] names the function there
//!   whose line it is. Which tables know which source file is read once; what was found for a place is kept.
//! - *By the closure*, in programs without debug information: the type of a closure tells in which function it is written,
//!   and closures are mostly written where they are handed over. Where it is not so (a closure that came as an argument), the
//!   function is the one that wrote it.
//! - Else it is not known: stripped programs that start a plain function.
//!
//! Rejected: to take down the return address in `go`. It is inlined, or not, as the compiler likes, so that it would
//! take a walk; and each goroutine would be larger for it.

use super::symbol;
use gimli::{
    ColumnType, DW_AT_call_column, DW_AT_call_file, DW_AT_call_line, DebugLineOffset, EndianSlice, NativeEndian,
};
use object::{Object, ObjectSection};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;
use std::panic::Location;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What was found for a place.
type Known = HashMap<&'static Location<'static>, Option<Arc<str>>>;

/// The function that called `go` there, if it is known. `closure` is the name of the type that was handed over.
///
/// Takes more stack than a goroutine has.
pub(crate) fn function(site: &'static Location<'static>, closure: &'static str) -> Option<Arc<str>> {
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known().get_or_insert_default().get(site) {
        return found.clone();
    }
    // Not under the lock: it takes long.
    let found = by_debug_info(site).or_else(|| by_closure(closure).map(Arc::from));
    known().get_or_insert_default().insert(site, found.clone());
    found
}

/// The function in which a closure is written, by the name of its type. lisle's own closures hold the user's.
fn by_closure(closure: &str) -> Option<&str> {
    const END: &str = "::{{closure}}";
    let function = closure.strip_suffix(END)?;
    if !function.trim_start_matches('<').starts_with("lisle::") {
        return Some(function);
    }
    let arguments = function.split(['<', '>', ',', ' ']);
    arguments.filter_map(|one| one.strip_suffix(END)).find(|one| !one.is_empty() && !one.starts_with("lisle::"))
}

fn by_debug_info(site: &Location) -> Option<Arc<str>> {
    static INFO: OnceLock<Option<DebugInfo>> = OnceLock::new();
    INFO.get_or_init(DebugInfo::load).as_ref()?.function(site)
}

type Slice = EndianSlice<'static, NativeEndian>;
type Unit = gimli::Unit<Slice>;
type Lines = gimli::LineProgramHeader<Slice>;

/// No code of a program lies below this.
const LOWEST: u64 = 256;

/// The debug information of the program itself.
struct DebugInfo {
    dwarf: gimli::Dwarf<Slice>,
    /// What is added to its addresses.
    base: usize,
    /// By the last part of a source file's path: the tables of lines that have lines of it, one for each unit.
    tables: HashMap<&'static [u8], Vec<DebugLineOffset>>,
}

impl DebugInfo {
    fn load() -> Option<Self> {
        let file = object::File::parse(map_program()?).ok()?;
        let section = |id: gimli::SectionId| {
            let data = file.section_by_name(id.name()).and_then(|section| section.data().ok());
            Ok::<_, gimli::Error>(EndianSlice::new(data.unwrap_or(&[]), NativeEndian))
        };
        let dwarf = gimli::Dwarf::load(section).ok()?;
        let mut this = Self { dwarf, base: base_of_program(), tables: HashMap::new() };
        // One behind the other; so units, which take longer to read, are read only if they are wanted.
        let mut offset = DebugLineOffset(0);
        while let Some(program) = this.table(offset) {
            let lines = program.header();
            for file in lines.file_names() {
                let Ok(path) = this.dwarf.attr_line_string(file.path_name()) else { continue };
                let tables = this.tables.entry(last_part(path.slice())).or_default();
                if tables.last() != Some(&offset) {
                    tables.push(offset);
                }
            }
            offset.0 += usize::from(lines.format().initial_length_size()) + lines.unit_length();
        }
        Some(this)
    }

    fn table(&self, offset: DebugLineOffset) -> Option<gimli::IncompleteLineProgram<Slice>> {
        self.dwarf.debug_line.program(offset, size_of::<usize>() as u8, None, None).ok()
    }

    fn function(&self, site: &Location) -> Option<Arc<str>> {
        let tables = self.tables.get(last_part(site.file().as_bytes()))?;
        let by_line = tables.iter().find_map(|&table| self.by_line(table, site));
        by_line.or_else(|| tables.iter().find_map(|&table| self.by_inlined_call(table, site)))
    }

    /// By the code that stands at that place itself.
    fn by_line(&self, table: DebugLineOffset, site: &Location) -> Option<Arc<str>> {
        let mut rows = self.table(table)?.rows();
        while let Ok(Some((lines, row))) = rows.next_row() {
            let is_there = row.line().is_some_and(|line| line.get() == u64::from(site.line()))
                && matches!(row.column(), ColumnType::Column(column) if column.get() == u64::from(site.column()));
            if is_there && !row.end_sequence() && self.is_file(lines, row.file_index(), site) {
                let found = self.name(row.address(), site);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// By a function that is inlined at that place.
    fn by_inlined_call(&self, table: DebugLineOffset, site: &Location) -> Option<Arc<str>> {
        let unit = self.unit_of(table)?;
        let lines = unit.line_program.as_ref()?.header();
        let mut entries = unit.entries();
        while let Ok(Some(entry)) = entries.next_dfs() {
            if entry.tag() != gimli::DW_TAG_inlined_subroutine {
                continue;
            }
            let number = |name| entry.attr_value(name).and_then(|value| value.udata_value());
            let file = match entry.attr_value(DW_AT_call_file) {
                Some(gimli::AttributeValue::FileIndex(index)) => Some(index),
                other => other.and_then(|value| value.udata_value()),
            };
            let is_there = number(DW_AT_call_line) == Some(u64::from(site.line()))
                && number(DW_AT_call_column) == Some(u64::from(site.column()))
                && file.is_some_and(|file| self.is_file(lines, file, site));
            if !is_there {
                continue;
            }
            let range = self.dwarf.die_ranges(&unit, entry).ok().and_then(|mut ranges| ranges.next().ok().flatten());
            let found = range.and_then(|range| self.name(range.begin, site));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The unit to which a table of lines belongs: the one that has the address of one of its lines.
    fn unit_of(&self, table: DebugLineOffset) -> Option<Unit> {
        let mut rows = self.table(table)?.rows();
        // Functions that the linker has left out lie at zero, or nearly.
        let address = loop {
            let (_, row) = rows.next_row().ok()??;
            if row.address() >= LOWEST {
                break row.address();
            }
        };
        let mut headers = self.dwarf.debug_aranges.headers();
        while let Ok(Some(header)) = headers.next() {
            let mut ranges = header.entries();
            while let Ok(Some(range)) = ranges.next() {
                if (range.range().begin..range.range().end).contains(&address) {
                    let header = self.dwarf.debug_info.header_from_offset(header.debug_info_offset()).ok()?;
                    return self.dwarf.unit(header).ok();
                }
            }
        }
        None
    }

    /// Whether the file of that number is the one of `site`, which the compiler may know by a relative path.
    fn is_file(&self, lines: &Lines, number: u64, site: &Location) -> bool {
        let text = |value| self.dwarf.attr_line_string(value).ok().map(|text| text.slice());
        let Some(file) = lines.file(number) else { return false };
        let name = text(file.path_name()).unwrap_or_default();
        let folder = file.directory(lines).and_then(text).unwrap_or_default();
        let path = [folder, name].join(&b'/');
        is_path(&path, site.file().as_bytes())
    }

    /// The function at this address to whose text `site` belongs.
    fn name(&self, address: u64, site: &Location) -> Option<Arc<str>> {
        let address = usize::try_from(address).ok()?.checked_add(self.base)?;
        let frames = &symbol::resolve(&[address])[0];
        let is_there = |frame: &&symbol::Frame| {
            let file = frame.file.as_deref().unwrap_or_default();
            frame.line == Some(site.line()) && is_path(file.as_bytes(), site.file().as_bytes())
        };
        frames.iter().find(is_there)?.function.as_deref().map(Arc::from)
    }
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Whether `path` is `wanted`, or ends with it.
fn is_path(path: &[u8], wanted: &[u8]) -> bool {
    path.strip_suffix(wanted).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"))
}

/// The program's file, which stays mapped: only what is looked at is read.
fn map_program() -> Option<&'static [u8]> {
    let file = std::fs::File::open("/proc/self/exe").ok()?;
    let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
    // SAFETY: a new mapping, at an address of the system's choice.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: mapped for good, and so long. The system keeps others from writing to a program that runs.
    Some(unsafe { std::slice::from_raw_parts(start.cast(), length) })
}

/// Where the program was loaded.
fn base_of_program() -> usize {
    /// The first object is the program.
    unsafe extern "C" fn first(info: *mut libc::dl_phdr_info, _size: libc::size_t, base: *mut c_void) -> c_int {
        // SAFETY: the linker's description, and the `usize` below.
        unsafe { *base.cast::<usize>() = usize::try_from((*info).dlpi_addr).unwrap_or(0) };
        1
    }
    let mut base = 0_usize;
    // SAFETY: the callback has the right signature, and the pointer stays valid during the call.
    unsafe { libc::dl_iterate_phdr(Some(first), std::ptr::from_mut(&mut base).cast()) };
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_closure_tells_where_it_is_written() {
        let own = std::any::type_name_of_val(&|| ());
        assert!(own.ends_with("::the_type_of_a_closure_tells_where_it_is_written::{{closure}}"), "{own}");
        assert_eq!(by_closure("server::main::{{closure}}"), Some("server::main"));
        assert_eq!(by_closure("server::main::{{closure}}::{{closure}}"), Some("server::main::{{closure}}"));
        assert_eq!(
            by_closure("<server::Pool<u8> as server::Run>::run::{{closure}}"),
            Some("<server::Pool<u8> as server::Run>::run")
        );
        let wrapped = "lisle::sync::wait_group::WaitGroup::go<server::main::{{closure}}, ()>::{{closure}}";
        assert_eq!(by_closure(wrapped), Some("server::main"));
        assert_eq!(by_closure("server::serve"), None, "a function, whoever started it");
        assert_eq!(by_closure("lisle::sync::wait_group::WaitGroup::go<server::serve>::{{closure}}"), None);
    }

    #[test]
    fn a_path_matches_at_its_parts_only() {
        assert!(is_path(b"/home/me/app/src/main.rs", b"src/main.rs") && is_path(b"/a/b.rs", b"/a/b.rs"));
        assert!(!is_path(b"/home/me/app/othersrc/main.rs", b"src/main.rs"));
    }
}
