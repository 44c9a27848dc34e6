//! Bulkhead adapter: a register map of a Modbus device as readings and writes. What it can do, with a complete config, is in
//! README.md.

mod adapter;
pub mod address;
pub mod codec;
pub mod point_list;
mod poll;
mod register_map;
pub mod settings;
mod write;

pub use adapter::ModbusRegisters;
