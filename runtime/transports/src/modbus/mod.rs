//! Modbus TCP and RTU: merged reads, granted writes, pacing, one request at a time.

pub(crate) mod bus;
mod coalesce;
mod fault;
mod grant;
mod memory;
mod pacing;
mod rtu;
mod tcp;
mod transport;

use crate::address::Address;
use crate::lifecycle::Lifecycle;
use crate::serial_port::LineMode;
use crate::{Buses, Capability, Context, Opened, TransportError};
use bulkhead_model::transport::{ModbusCommon, ModbusRtu, ModbusTcp};
use coalesce::{BITS_MAX, Limits, REGISTERS_MAX};
use grant::{ReadGrant, WriteGrant};
use std::sync::Arc;
use transport::{ModbusTransport, Policy, Wire};

/// The port of Modbus TCP (registered as `mbap`).
const DEFAULT_PORT: u16 = 502;

pub(crate) fn open_tcp(settings: &ModbusTcp, context: &Context) -> Result<Opened, TransportError> {
    let address = Address::parse(&settings.address, Some(DEFAULT_PORT))
        .ok_or_else(|| context.setting_error("address", &settings.address, "`host` or `host:port`"))?;
    let device = format!("modbus-tcp {address} unit {}", settings.modbus.unit_id);
    let policy = policy(&settings.modbus, context, device.clone())?;
    let life = Arc::new(Lifecycle::new(context, device));
    let wire = tcp::TcpWire::new(settings, address, context.clock.clone(), life.clone());
    Ok(opened(ModbusTransport::new(Wire::Tcp(Arc::new(wire)), policy, life, context)))
}

pub(crate) fn open_rtu(settings: &ModbusRtu, context: &Context, buses: &Buses) -> Result<Opened, TransportError> {
    let mode = LineMode::from(&settings.line);
    mode.check().map_err(|(setting, value, expected)| context.setting_error(setting, value, expected))?;
    // Unit 0 is the broadcast (Modbus over Serial Line V1.02 §2.2): nobody answers it, so nothing can be read.
    let unit = settings.modbus.unit_id;
    if !(1..=247).contains(&unit) {
        return Err(context.setting_error("unit_id", unit.to_string(), "1 to 247 on a serial line"));
    }
    let device = format!("modbus-rtu {} {mode} unit {unit}", settings.line.port.display());
    let policy = policy(&settings.modbus, context, device.clone())?;
    let bus = buses.share(settings, context)?;
    let life = Arc::new(Lifecycle::new(context, device));
    let wire = rtu::RtuWire::new(settings, bus, context.clock.clone(), life.clone());
    Ok(opened(ModbusTransport::new(Wire::Rtu(Arc::new(wire)), policy, life, context)))
}

fn opened(transport: ModbusTransport) -> Opened {
    let transport = Arc::new(transport);
    Opened { link: transport.clone(), capability: Capability::Modbus(transport), frames: None }
}

fn policy(settings: &ModbusCommon, context: &Context, device: String) -> Result<Policy, TransportError> {
    let grant = WriteGrant::parse(&settings.allow_write)
        .map_err(|text| context.setting_error("allow_write", text, grant::EXPECTED))?;
    let read_grant = ReadGrant::parse(settings.allow_read.as_deref())
        .map_err(|text| context.setting_error("allow_read", text, grant::EXPECTED_READ))?;
    if !(1..=REGISTERS_MAX).contains(&settings.max_read_registers) {
        let value = settings.max_read_registers.to_string();
        return Err(context.setting_error("max_read_registers", value, "1 to 125"));
    }
    if !(1..=BITS_MAX).contains(&settings.max_read_bits) {
        return Err(context.setting_error("max_read_bits", settings.max_read_bits.to_string(), "1 to 2000"));
    }
    let limits = Limits {
        gap_fill: settings.gap_fill_registers,
        max_registers: settings.max_read_registers,
        max_bits: settings.max_read_bits,
    };
    let (unit, timeout_ms) = (settings.unit_id, settings.timeout_ms);
    Ok(Policy { limits, grant, read_grant, device, unit, timeout_ms })
}
