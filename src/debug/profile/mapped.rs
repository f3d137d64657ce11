//! Where code lies in memory, and of which file it is.

/// Code that was loaded from a file, in whole pages.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MappedFile {
    pub(super) start: u64,
    pub(super) limit: u64,
    pub(super) offset: u64,
    pub(super) path: String,
}

impl MappedFile {
    pub(super) fn contains(&self, address: u64) -> bool {
        (self.start..self.limit).contains(&address)
    }
}

/// The code of this process, the program's own first: the tool takes the first for it.
pub(super) fn files() -> Vec<MappedFile> {
    // Names of files are bytes.
    parse(&String::from_utf8_lossy(&std::fs::read("/proc/self/maps").unwrap_or_default()))
}

/// The executable parts of `/proc/self/maps` (proc(5)).
fn parse(maps: &str) -> Vec<MappedFile> {
    let file = |line: &str| {
        // The last is the path, which may itself have blanks in it, and stands behind some.
        let mut fields = line.splitn(6, ' ');
        let (start, limit) = fields.next()?.split_once('-')?;
        let permissions = fields.next()?;
        let offset = fields.next()?;
        let path = fields.nth(2)?.trim_start();
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let file = MappedFile { start: hex(start)?, limit: hex(limit)?, offset: hex(offset)?, path: path.into() };
        (permissions.contains('x') && !path.is_empty()).then_some(file)
    };
    let mut files: Vec<_> = maps.lines().filter_map(file).collect();
    let own = parse as *const () as u64;
    files.sort_by_key(|file| !file.contains(own));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_among_the_mappings() {
        let maps = "55d0c0000000-55d0c0001000 r--p 00000000 08:01 42  /bin/x\n\
                    55d0c0001000-55d0c0003000 r-xp 00001000 08:01 42  /bin/x\n\
                    7ffd1000-7ffd2000 rw-p 00000000 00:00 0 \n\
                    7ffd4000-7ffd5000 r-xp 00000000 00:00 0 \n\
                    7ffd6000-7ffd7000 r-xp 00002000 08:01 43    /home/a user/lib x.so\n\
                    7ffe1000-7ffe2000 r-xp 00000000 00:00 0  [vdso]\n";
        let files = parse(maps);
        let of = |start, limit, offset, path: &str| MappedFile { start, limit, offset, path: path.into() };
        assert_eq!(
            files,
            [
                of(0x55d0_c000_1000, 0x55d0_c000_3000, 0x1000, "/bin/x"),
                of(0x7ffd_6000, 0x7ffd_7000, 0x2000, "/home/a user/lib x.so"),
                of(0x7ffe_1000, 0x7ffe_2000, 0, "[vdso]"),
            ]
        );
    }

    #[test]
    fn a_mapped_file_with_a_strange_name_hides_no_other() {
        use std::os::unix::ffi::OsStringExt;
        let name = [
            std::env::temp_dir().into_os_string().into_vec(),
            format!("/lisle-{}-", std::process::id()).into(),
            vec![0xff],
        ];
        let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(name.concat()));
        std::fs::write(&path, [0; 4096]).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: a new mapping, which nobody else knows of.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_PRIVATE, descriptor, 0) };
        assert_ne!(map, libc::MAP_FAILED);
        let own = a_mapped_file_with_a_strange_name_hides_no_other as *const () as u64;
        assert!(files()[0].contains(own));
        // SAFETY: ours, and not used any more.
        unsafe { libc::munmap(map, 4096) };
    }
}
