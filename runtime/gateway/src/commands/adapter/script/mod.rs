//! A script for an adapter: what its transports answer, and what it is asked, step by step. The component runs in the real
//! sandbox; only the far side of the transports is played. What came of it is plain data to compare with what was expected.

mod case;
mod modbus;
mod outcome;
mod play;
mod recording;
mod transports;

pub(super) use case::Case;
pub(super) use outcome::{difference, failures};
pub(super) use play::{play, strayed};
pub(in crate::commands) use recording::{Recorded, Recording, plain};
