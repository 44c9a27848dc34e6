//! What an operator relies on beside the readings themselves: backups, the service manager, the gateway's own health, and
//! what can be handed to somebody who helps.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod backup;
mod health;
mod import;
mod service_manager;
mod support_bundle;
