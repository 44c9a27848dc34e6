//! What the operating system says of this process and its disk.

use std::path::Path;

/// Memory the process has in RAM, in bytes, as the kernel tells; none where it does not.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    resident_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmRSS:   1234 kB` of a process's status.
fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Bytes this process has had storage write: pages that became dirty, less those that were dropped before they were
/// written; none where the kernel does not count.
pub(crate) fn written_bytes() -> Option<u64> {
    written_of(&std::fs::read_to_string("/proc/self/io").ok()?)
}

fn written_of(io: &str) -> Option<u64> {
    let number = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(number("write_bytes:")?.saturating_sub(number("cancelled_write_bytes:").unwrap_or(0)))
}

/// Bytes that may still be written without being root to the file system where a folder is or would be made; none where
/// nobody says.
#[must_use]
#[allow(clippy::useless_conversion, reason = "the numbers have 32 bits on 32-bit systems")]
pub fn free_bytes(dir: &Path) -> Option<u64> {
    let figures = dir.ancestors().find_map(|dir| nix::sys::statvfs::statvfs(dir).ok())?;
    u64::from(figures.blocks_available()).checked_mul(u64::from(figures.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident_of("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"), Some(2_097_152));
        assert_eq!(resident_of("Name:\tx\n"), None);
    }

    #[test]
    fn what_was_written_is_what_became_dirty_less_what_was_dropped() {
        let io = "rchar: 9\nwchar: 8\nread_bytes: 7\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n";
        assert_eq!(written_of(io), Some(4096));
        assert_eq!(written_of("wchar: 8\nwrite_bytes: 5\n"), Some(5));
        assert_eq!(written_of("wchar: 8\n"), None);
    }

    #[test]
    fn a_folder_to_be_made_is_on_the_file_system_of_the_one_above() {
        assert!(free_bytes(Path::new("/")).is_some());
        assert!(free_bytes(Path::new("/no-such-folder-here/x")).is_some());
    }
}
