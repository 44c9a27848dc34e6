//! End-to-end tests: the gateway's binary among simulated devices and programs that others wrote.
//!
//! One binary, so that it is linked once; each module is a subject. The harness is the crate's library.

mod bad_adapters;
mod bad_devices;
mod bad_lines;
mod bad_payloads;
mod command_line;
mod journald;
mod modbus_foreign;
mod modbus_requests;
mod scenarios;
