//! What an adapter's author is given: a project that builds, the SDK inside of it, a compiler for the guest, and the component
//! with its manifest. Nothing here runs an adapter.

#![forbid(unsafe_code)]

mod assets;
mod component;
mod error;
mod exports;
mod foreign;
mod grants;
mod language;
mod new_project;
mod project;
mod sdk;
mod toolchain;
mod words;
mod world;

pub use component::encode;
pub use error::AuthorError;
pub use foreign::{COMPONENTIZE_PY, COMPONENTIZE_QJS, ZIGLANG};
pub use language::Language;
pub use new_project::{NewProject, PLACEHOLDER_AUTHOR, PLACEHOLDER_MAKER, Role};
pub use project::Project;
