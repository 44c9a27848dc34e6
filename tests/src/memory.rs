//! The memory of another process, as Linux tells it.

use anyhow::{Context, Result};
use nix::unistd::Pid;
use std::path::PathBuf;

/// A process.
#[derive(Debug)]
pub(crate) struct Memory {
    process: PathBuf,
}

impl Memory {
    pub(crate) fn of(pid: Pid) -> Self {
        Self { process: PathBuf::from(format!("/proc/{pid}")) }
    }

    /// What it has in memory now.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most it had in memory since [`Memory::forget_peak`].
    pub(crate) fn peak_bytes(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) -> Result<()> {
        // proc(5): 5 resets the peak to what is resident now.
        std::fs::write(self.process.join("clear_refs"), "5").context("the peak of memory cannot be reset")
    }

    fn status(&self, key: &str) -> Result<u64> {
        let status = std::fs::read_to_string(self.process.join("status"))?;
        let kib =
            status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib << 10).with_context(|| format!("/proc/…/status has no {key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_is_told() {
        let memory = Memory::of(Pid::this());
        assert!(memory.resident_bytes().unwrap() > 1 << 20);
        assert!(memory.peak_bytes().unwrap() > 1 << 20);
    }
}
