//! What the adapters that deliver over HTTP share: what a part of a batch is called, what an answer's status means, how long a server asks to wait, how long
//! a delivery may take, and how times and bytes are written.

mod answer;
mod delivery_time;
mod key;
mod progress;
mod text;

pub use answer::{RETRY_AFTER_MAX_MS, Verdict, Verdicts, excerpt, retry_after_ms, retry_fault};
pub use delivery_time::{DELIVERY_TIME_MAX_MS, DeliveryTime};
pub use key::key_of_part;
pub use progress::Progress;
pub use text::{base64, base64_url, rfc3339};
