//! The decoding of `mqtt-json` and `modbus-registers`, many times in one call, so that the call itself does not count: as a
//! component it is measured inside the sandbox, as a library the same code is measured without one.

mod json;
mod registers;

use bulkhead_sdk::prelude::*;

/// What is decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Messages of five values, as `mqtt-json` reads them.
    Json,
    /// 1,000 points of a register map, as `modbus-registers` reads them.
    Registers,
}

/// What is measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is decoded.
    pub subject: Subject,
    /// How often in one poll.
    pub rounds: u32,
}

/// A subject that is ready.
#[derive(Debug)]
pub struct DecodeBench {
    work: Work,
    rounds: u32,
    total: Point,
}

#[derive(Debug)]
enum Work {
    Json(Box<json::Messages>),
    Registers(Box<registers::Registers>),
}

impl Adapter for DecodeBench {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        let total = points::declare_one(NewPoint::new("total", Kind::Real))?;
        let work = match settings.subject {
            Subject::Json => Work::Json(Box::new(json::Messages::new()?)),
            Subject::Registers => Work::Registers(Box::new(registers::Registers::new()?)),
        };
        Ok(Self { work, rounds: settings.rounds, total })
    }

    fn check(&mut self) -> Result<String, Fault> {
        Ok("ready".to_owned())
    }
}

impl Poller for DecodeBench {
    /// Decodes so many times; its one reading is the sum of what was read, so that no compiler leaves the work out and both
    /// sides can be seen to have done the same.
    fn poll(&mut self, _: &str) -> Result<Vec<Reading>, Fault> {
        let mut total = 0.0;
        for _ in 0..self.rounds {
            let readings = match &mut self.work {
                Work::Json(messages) => messages.decode()?,
                Work::Registers(registers) => registers.decode()?,
            };
            total += std::hint::black_box(readings).iter().map(number).sum::<f64>();
        }
        Ok(vec![Reading::at(self.total, total)])
    }
}

fn number(reading: &Reading) -> f64 {
    match reading.value {
        Some(Value::Real(number)) => number,
        Some(Value::Integer(number)) => number as f64,
        Some(Value::Boolean(value)) => f64::from(u8::from(value)),
        _ => 0.0,
    }
}

bulkhead_sdk::export!(DecodeBench: poller);
