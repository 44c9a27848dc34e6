//! What an adapter's author is given: a project that builds, the SDK inside of it, a compiler for the guest, and the component
//! with its manifest. Nothing here runs an adapter.

#![forbid(unsafe_code)]

mod component;
mod error;
mod new_project;
mod project;
mod sdk;
mod toolchain;

pub use component::encode;
pub use error::AuthorError;
pub use new_project::{NewProject, Role};
pub use project::Project;
