//! Runs adapters: WebAssembly components in wasmtime, each with nothing but the capabilities it was granted.
//!
//! [`Sandbox`] owns the wasmtime engine and the cache of compiled components and loads an [`Adapter`] from a file.
//! A [`Guest`] is one instance of an adapter with its [`Capabilities`](capability::Capabilities), [`Limits`] and
//! settings: it is built when first called, kept between calls, thrown away after a trap or a timeout, and built anew
//! with growing waits. What a guest returns leaves here as values of `bulkhead-model`, checked: a point it did not
//! declare or a value of the wrong kind never gets further.

mod adapter;
pub mod backoff;
mod bindings;
mod budget;
pub mod capability;
mod compiler;
mod convert;
mod crash;
mod error;
mod exports;
mod guest;
mod host;
mod instance;
pub mod limits;
pub mod memory;
mod meter;
#[cfg(feature = "wit-next")]
mod next;
mod pace;
mod points;
mod precompiled;
mod sandbox;
mod schema;
mod stdio;
pub mod tap;
mod text;
mod waits;

pub use adapter::{Adapter, MissingGrant, Role};
pub use bindings::bulkhead::adapter::types as wit;
pub use compiler::{Compiler, compile_adapter};
pub use convert::{command_to_wit, kind_to_wit, value_to_model, value_to_wit};
pub use crash::Crash;
pub use error::{CallError, SandboxError};
pub use guest::{Guest, GuestCounters, Reply};
pub use limits::Limits;
pub use points::{Declared, PointTable};
pub use sandbox::{CodeKind, Sandbox, SandboxConfig};
pub use schema::{adapter_hash, settings_schema, settings_schema_in};
pub use text::printable;
