//! What one guest may use up, each bound in one place.

use std::time::Duration;

/// Bounds of one guest instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Linear memory in bytes; growing beyond it fails inside the guest. 1 to 4096 MiB.
    pub memory_max_bytes: usize,
    /// Longest computation in one call, waiting for the host not counted. Enforced to [`EPOCH_TICK`] and a turn.
    pub call_timeout: Duration,
    /// Longest wait for one host call.
    pub host_call_timeout: Duration,
    /// Longest duration of one call with everything in it.
    pub call_total_timeout: Duration,
    /// Most bytes that may cross into the host in one call of a host function or one result.
    pub transfer_max_bytes: usize,
    /// Most calls in a second of what reaches beyond the sandbox: transports, the durable memory, declarations. Those beyond it
    /// wait for their turn.
    pub requests_per_s: u32,
    /// First wait before a crashed instance is rebuilt; doubles up to [`Limits::rebuild_max`].
    pub rebuild_first: Duration,
    /// Longest wait before a crashed instance is rebuilt.
    pub rebuild_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_max_bytes: 64 << 20,
            call_timeout: Duration::from_secs(2),
            host_call_timeout: Duration::from_secs(60),
            call_total_timeout: Duration::from_secs(180),
            transfer_max_bytes: TRANSFER_MAX_BYTES,
            requests_per_s: 10_000,
            rebuild_first: Duration::from_millis(500),
            rebuild_max: Duration::from_secs(60),
        }
    }
}

/// Most bytes that a guest hands over in one call of a host function or as one result: the longest body of an HTTP request
/// with room for the rest of it, or some 70,000 readings. What is lifted is charged as it lies in the host's memory.
pub const TRANSFER_MAX_BYTES: usize = 6 << 20;
/// Most resource handles an instance may hold, its own and those of WASI; each costs the host memory. An interpreter holds a
/// few dozen.
pub const HANDLES_MAX: usize = 1000;
/// Most random bytes that a WASI guest gets in one call; they are made in the host's memory.
pub const RANDOM_MAX_BYTES: u64 = 64 << 10;
/// How often a computing guest yields to its neighbours, and how finely its time is measured.
pub const EPOCH_TICK: Duration = Duration::from_millis(5);
/// Most tables, instances and elements a guest may have; an adapter needs a handful.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Most core instances, memories and tables of one component.
pub const INSTANCES_MAX: usize = 100;
pub use bulkhead_bundle::ADAPTER_FILE_MAX_BYTES;
/// Longest time in which a child process compiles an adapter: an interpreter of 20 MB takes a minute or more on a small
/// board.
pub const COMPILE_MAX: Duration = Duration::from_secs(300);
/// Most address space of a child that compiles: the largest interpreters take about 700 MB of it on two cores.
pub const COMPILE_MEMORY_MAX_BYTES: u64 = 2 << 30;
/// Longest machine code of an adapter.
pub const MACHINE_CODE_MAX_BYTES: u64 = 256 << 20;
/// Longest text kept of a fault's message or a journal line, in bytes.
pub const MESSAGE_MAX_BYTES: usize = 1024;
/// Longest code of a fault, in bytes.
pub const CODE_MAX_BYTES: usize = 64;
/// Longest wait an adapter or an upstream can ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Longest unit and longest group name of a point, in bytes.
pub const LABEL_MAX_BYTES: usize = 64;
/// Longest name and media type of a file value, in bytes.
pub const FILE_NAME_MAX_BYTES: usize = 255;
/// Longest content of a file value.
pub const FILE_MAX_BYTES: usize = 1 << 20;
/// Longest text, decimal or bytes as a value; a longer one is recorded as `BadOutOfRange`.
pub const VALUE_MAX_BYTES: usize = 1 << 20;
/// Most bytes of names, units, groups and descriptions of a connection's points together: 20,000 points of 200 bytes. They are
/// held by the sandbox and by the log.
pub const POINTS_MAX_BYTES: usize = 4 << 20;
/// Frames of a guest's stack that are kept of its last crash, and the longest name of one.
pub const BACKTRACE_MAX_FRAMES: usize = 16;
/// Longest name of a function in a backtrace, in bytes.
pub const FUNCTION_NAME_MAX_BYTES: usize = 128;
/// Most points a connection may declare.
pub const POINTS_MAX: usize = 20_000;
/// Most timers of a connection that run at a time.
pub const TIMERS_MAX: usize = 16;
/// Shortest and longest timer.
pub const TIMER_MS: std::ops::RangeInclusive<u32> = 10..=86_400_000;
/// Native stack of a guest call.
pub const GUEST_STACK_BYTES: usize = 512 << 10;
