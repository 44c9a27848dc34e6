//! What a support bundle says of the machine and of the gateway's files.

use bulkhead_config::Config;
use std::fmt::Write as _;
use std::path::Path;

/// Most files listed of one folder.
const FILES_MAX: usize = 10_000;

/// Versions and platform.
pub(super) fn about(moment: &str, source: &str) -> String {
    let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let release = line("/etc/os-release");
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
    let memory = line("/proc/meminfo");
    let memory: Vec<&str> = memory.lines().take(3).collect();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "taken: {moment}\nsource: {source}\nbulkhead: {}\nsqlite: {}\narchitecture: {} {}\nkernel: {}\nsystem: {system}\n\
         cores: {cores}\nload: {}\nuptime_s: {}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        bulkhead_log::sqlite_version(),
        std::env::consts::ARCH,
        std::env::consts::OS,
        line("/proc/sys/kernel/osrelease"),
        line("/proc/loadavg"),
        line("/proc/uptime"),
        memory.join("\n"),
    )
}

/// The gateway's folders with what lies in them.
pub(super) fn files(config: &Config) -> String {
    let data = config.data_dir();
    let adapters = config.resolve(&config.gateway.adapters_dir);
    let mut text = match bulkhead_engine::free_bytes(&data) {
        Some(free) => format!("free where the data folder is: {free} bytes\n"),
        None => "free where the data folder is: unknown\n".to_owned(),
    };
    for dir in [&data, &data.join("log"), &data.join("compiled"), &config.backup_dir(), &adapters] {
        list(dir, &mut text);
    }
    text
}

fn list(dir: &Path, text: &mut String) {
    // Writing to a text does not fail.
    _ = writeln!(text, "\n{}:", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            _ = writeln!(text, "  cannot be listed: {error}");
            return;
        }
    };
    let mut lines: Vec<String> = entries.take(FILES_MAX).flatten().map(|entry| line(&entry)).collect();
    lines.sort();
    text.extend(lines);
}

/// Name, length and time of one entry.
fn line(entry: &std::fs::DirEntry) -> String {
    let name = entry.file_name().to_string_lossy().into_owned();
    let Ok(metadata) = entry.metadata() else { return format!("  {name}  cannot be looked at\n") };
    let modified = metadata.modified().ok().and_then(|time| jiff::Timestamp::try_from(time).ok());
    let modified = modified.map_or_else(|| "unknown".to_owned(), |time| time.to_string());
    let length = if metadata.is_dir() { "folder".to_owned() } else { format!("{} bytes", metadata.len()) };
    format!("  {name}  {length}  {modified}\n")
}
