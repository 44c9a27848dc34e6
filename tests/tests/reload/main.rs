//! Another config for a running gateway: what comes of it, and what is left alone.
#![allow(clippy::print_stdout, reason = "trials print their tables")]

mod api;
mod edits;
mod file;
mod memory;
mod odata;
mod plants;
mod routes;
mod serial;
