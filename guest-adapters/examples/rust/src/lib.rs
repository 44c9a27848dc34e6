//! Example adapter: a three-phase energy meter over Modbus. Two groups of points are read in one call each, with scaling, a
//! status word that says how far the values can be trusted, and a demand limit that can be written. The same adapter in other
//! languages stands beside this one; all of them pass the scripts in `../cases`.

mod registers;

use bulkhead_sdk::modbus::{self, Change, Span, Table};
use bulkhead_sdk::prelude::*;
use registers::{Found, Plan};

/// The transport's role.
const DEVICE: &str = "device";
/// What the meter can hold: a word of hundredths.
const DEMAND_LIMITS: WriteLimits = WriteLimits { min: Some(0.0), max: Some(655.35) };
const DEMAND_ADDRESS: u16 = 200;

/// A bit of the status word.
const CT_SATURATED: u16 = 1 << 1;

/// Settings of the adapter `energy-meter`.
#[derive(Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(extend("x-bulkhead-transports" = { "device": { "kinds": ["modbus-tcp", "modbus-rtu"], "required": true } }))
)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the current transformers divide by; currents, powers and energies are multiplied by it.
    pub ct_ratio: f64,
    /// How many phases are connected: 1 or 3.
    pub phases: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ct_ratio: 1.0, phases: 3 }
    }
}

/// One running instance.
pub struct EnergyMeter {
    plans: Vec<Plan>,
    demand_limit: Point,
    saturated: bool,
}

impl Adapter for EnergyMeter {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        if !matches!(settings.phases, 1 | 3) {
            let message = format!("phases: {}, expected 1 or 3", settings.phases);
            return Err(Fault::reconfigure("bad-settings", message));
        }
        if !(settings.ct_ratio > 0.0 && settings.ct_ratio.is_finite()) {
            return Err(Fault::reconfigure("bad-settings", "ct_ratio: expected a number above 0"));
        }
        let mut plans = registers::plans(&settings);
        let declared = points::declare(plans.iter().flat_map(Plan::declared).collect())?;
        let mut handles = declared.into_iter();
        plans.iter_mut().for_each(|plan| plan.give(&mut handles));
        let missing = || Fault::reconfigure("internal", "the host declared fewer points than asked");
        let demand_limit = plans.iter().find_map(|plan| plan.handle("demand_limit")).ok_or_else(missing)?;
        Ok(Self { plans, demand_limit, saturated: false })
    }

    fn check(&mut self) -> Result<String, Fault> {
        let span = |address, count| Span { table: Table::InputRegister, address, count };
        let answer = modbus::read(DEVICE, &[span(0, 1), span(120, 8)])?;
        match answer.faults.into_iter().next() {
            Some(refused) => Err(refused.fault),
            None => Ok(format!("meter {}, status 0x{:04x}", registers::text(&answer.words[1..]), answer.words[0])),
        }
    }
}

impl Poller for EnergyMeter {
    fn poll(&mut self, group: &str) -> Result<Vec<Reading>, Fault> {
        let Some(plan) = self.plans.iter().find(|plan| plan.group == group) else { return Ok(Vec::new()) };
        let spans: Vec<Span> = plan.blocks.iter().map(|block| block.span).collect();
        let found = Found::of(modbus::read(DEVICE, &spans)?, &spans)?;
        if let Some(status) = plan.status_word(&found) {
            let saturated = status & CT_SATURATED != 0;
            if saturated && !self.saturated {
                log::warn(&format!("a current transformer is saturated: status 0x{status:04x}"));
            }
            self.saturated = saturated;
        }
        Ok(plan.readings(&found))
    }
}

impl Writer for EnergyMeter {
    fn write(&mut self, command: &Command) -> Result<(), Fault> {
        if Point::of(command) != self.demand_limit {
            return Err(Fault::reject("not-writable", "only demand_limit can be written"));
        }
        let Value::Real(kilowatts) = command.value else {
            return Err(Fault::reject("bad-value", "demand_limit: expected a number"));
        };
        let word = (kilowatts * 100.0 + 0.5).floor() as u16;
        let change = Change { table: Table::HoldingRegister, address: DEMAND_ADDRESS, words: vec![word] };
        let silent = || Err(Fault::retry("no-result", "the host gave no result"));
        modbus::write(DEVICE, &[change]).pop().unwrap_or_else(silent)
    }
}

bulkhead_sdk::export!(EnergyMeter: poller, writer);
