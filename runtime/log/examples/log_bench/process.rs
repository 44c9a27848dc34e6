//! What Linux says of this process: its memory, and what it had the device write.

/// A number out of a file of `/proc/self`; 0 where there is none.
fn number(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The most memory that was resident so far, in bytes.
pub(crate) fn peak_bytes() -> u64 {
    number("status", "VmHWM:") * 1024
}

/// Processor time of this process and of the threads it had, in seconds.
pub(crate) fn processor_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in brackets, the 12th and 13th are ticks of a hundredth of a second.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Bytes this process has had written to storage: pages that became dirty, whether or not they are there yet.
pub(crate) fn written_bytes() -> u64 {
    number("io", "write_bytes:").saturating_sub(number("io", "cancelled_write_bytes:"))
}
