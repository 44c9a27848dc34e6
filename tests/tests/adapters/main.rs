//! Adapters as files: what they say of themselves, whom the operator believes, how one version follows another, and how an
//! author makes one.
#![allow(clippy::unwrap_used, reason = "a failure of a test's own step is to end it")]

mod authoring;
mod golden;
mod inspecting;
mod mistakes;
mod registry;
mod signed;
mod upgrading;
