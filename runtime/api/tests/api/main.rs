//! The HTTP face over real sockets: a real engine and log behind it, readings written straight into the log.

mod access;
mod events;
mod golden;
mod harness;
mod history;
mod odata;
mod rest;
mod watching;
