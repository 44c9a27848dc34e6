//! From one config to the next without stopping what stays the same: what has to change (`plan`), whether the files behind a
//! connection are still those it runs with (`inputs`), and what is said about it (`report`). The engine carries it out.

pub(crate) mod inputs;
pub(crate) mod plan;
mod report;

pub use plan::{Fate, needs_restart};
pub use report::{Reloaded, Told};
