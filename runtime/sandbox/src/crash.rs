//! What is told of a guest that trapped or ran out of time: why, and where, by the names its file gives its functions.

use crate::error::CallError;
use crate::limits::{BACKTRACE_MAX_FRAMES, FUNCTION_NAME_MAX_BYTES, Limits, MESSAGE_MAX_BYTES};
use crate::text::{cut, tidy};
use bulkhead_model::Timestamp;
use wasmtime::{Trap, WasmBacktrace};

/// The last crash of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// When it was seen.
    pub time: Timestamp,
    /// `trap`, `deadline` or `cannot-start`.
    pub code: &'static str,
    /// In a sentence.
    pub message: String,
    /// The guest's functions, the innermost first; empty where the file names none.
    pub backtrace: Vec<String>,
}

/// How a call ended that brought no result.
pub(crate) enum End {
    /// It computed too long.
    Deadline,
    /// It trapped, or did what the host refuses with a trap.
    Trap(String),
}

/// Tells the end of a call from wasmtime's error, and from what the guest wrote as an error before: a trap says what the
/// processor would not do, a panic's own words say why.
pub(crate) fn end(error: &wasmtime::Error, last_words: Option<String>, limits: &Limits) -> End {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => End::Deadline,
        _ => End::Trap(after(last_words, describe(error, limits))),
    }
}

/// A trap behind the words it came after, both within the bound of a message.
fn after(last_words: Option<String>, trap: String) -> String {
    let Some(mut words) = last_words else { return trap };
    cut(&mut words, MESSAGE_MAX_BYTES / 2);
    let mut told = format!("{words}; {trap}");
    tidy(&mut told, MESSAGE_MAX_BYTES);
    told
}

/// An error in one line: the reason, then the guest's functions.
pub(crate) fn describe(error: &wasmtime::Error, limits: &Limits) -> String {
    let cause = error.root_cause().to_string();
    let mut text = if cause.contains("fuel allocated for hostcalls") {
        format!("it handed more than {} bytes over in one call", limits.transfer_max_bytes)
    } else {
        cause
    };
    let functions = backtrace(error);
    if !functions.is_empty() {
        let innermost: Vec<&str> = functions.iter().take(8).map(String::as_str).collect();
        text = format!("{text} in {}", innermost.join(" < "));
    }
    tidy(&mut text, MESSAGE_MAX_BYTES);
    text
}

/// The functions on the guest's stack, the innermost first. A function without a name is told by its number.
pub(crate) fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => {
            let mut name = format!("{:#}", rustc_demangle::demangle(name));
            tidy(&mut name, FUNCTION_NAME_MAX_BYTES);
            name
        }
        None => format!("function {}", frame.func_index()),
    };
    backtrace.frames().iter().take(BACKTRACE_MAX_FRAMES).map(name).collect()
}

/// What is kept of a failed call.
pub(crate) fn crash(time: Timestamp, failed: &CallError, backtrace: Vec<String>) -> Option<Crash> {
    let code = match failed {
        CallError::Trapped { .. } => "trap",
        CallError::TimedOut { .. } => "deadline",
        CallError::CannotStart(_) => "cannot-start",
        CallError::Fault(_) | CallError::Resting { .. } | CallError::NoSuchRole(_) => return None,
    };
    let message = match failed {
        CallError::Trapped { message, .. } | CallError::CannotStart(message) => message.clone(),
        CallError::TimedOut { what, .. } => what.clone(),
        other => other.to_string(),
    };
    Some(Crash { time, code, message, backtrace })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_is_told_after_the_words_it_came_with_and_neither_hides_the_other() {
        let trap = || "wasm trap: unreachable in poll".to_owned();
        assert_eq!(after(None, trap()), trap());
        let panicked = "the adapter panicked at src/lib.rs:61:9: too short".to_owned();
        assert_eq!(after(Some(panicked.clone()), trap()), format!("{panicked}; {}", trap()));
        let long = after(Some("x".repeat(MESSAGE_MAX_BYTES)), trap());
        assert!(long.len() <= MESSAGE_MAX_BYTES && long.ends_with("in poll"), "{}", long.len());
    }
}
