//! The HTTP face over real sockets: a real engine and log behind it, readings written straight into the log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod accounts;
mod contract;
mod dead_letters;
mod events;
mod exports;
mod golden;
mod harness;
mod history;
mod imports;
mod odata;
mod odata_sets;
mod odata_wide;
mod operations;
mod requests;
mod rest;
mod roles;
mod sessions;
mod strangers;
mod tls;
mod watching;
