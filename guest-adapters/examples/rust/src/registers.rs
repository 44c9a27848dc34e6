//! The meter's registers: which are read for each group, and what readings their words make.

use crate::{DEMAND_LIMITS, Settings};
use bulkhead_sdk::modbus::{Span, Table, Words};
use bulkhead_sdk::prelude::*;

/// Bits of the status word: a phase is missing; a current transformer is saturated; the measuring unit has failed.
const PHASE_MISSING: u16 = 1;
const CT_SATURATED: u16 = 1 << 1;
const UNIT_FAILED: u16 = 1 << 15;

/// Largest power of ten a power may be scaled by, and smallest.
const EXPONENT_MAX: i16 = 9;

/// What a value depends on besides its own registers.
#[derive(Clone, Copy, PartialEq)]
enum Doubt {
    /// Nothing: it is counted, or comes from the meter's memory.
    Never,
    /// The measuring unit and the phases.
    Phases,
    /// And the current transformers.
    Transformers,
}

/// How words become a value; none: the meter says that there is none.
type Decode = Box<dyn Fn(&[u16]) -> Result<Value, Status>>;

/// One point of a block.
struct Field {
    declared: NewPoint,
    name: String,
    doubt: Doubt,
    decode: Decode,
    handle: Option<Point>,
}

/// Registers read as one span, and the points in them.
pub(crate) struct Block {
    pub(crate) span: Span,
    fields: Vec<Field>,
}

/// A poll group.
pub(crate) struct Plan {
    pub(crate) group: &'static str,
    pub(crate) blocks: Vec<Block>,
}

/// The words or the fault of each span.
pub(crate) struct Found(Vec<Result<Vec<u16>, Fault>>);

impl Found {
    /// Takes an answer apart. Where nothing could be read, the first fault is that of the whole group.
    pub(crate) fn of(answer: Words, spans: &[Span]) -> Result<Self, Fault> {
        let mut found = Vec::new();
        let mut rest = answer.words.as_slice();
        for span in spans {
            let (words, behind) = rest.split_at(usize::from(span.count).min(rest.len()));
            found.push(Ok(words.to_vec()));
            rest = behind;
        }
        if answer.faults.len() == spans.len()
            && let Some(first) = answer.faults.first()
        {
            return Err(first.fault.clone());
        }
        for refused in answer.faults {
            if let Some(place) = found.get_mut(refused.index as usize) {
                *place = Err(refused.fault);
            }
        }
        Ok(Self(found))
    }
}

impl Plan {
    pub(crate) fn declared(&self) -> impl Iterator<Item = NewPoint> {
        self.blocks.iter().flat_map(|block| &block.fields).map(|field| field.declared.clone())
    }

    pub(crate) fn give(&mut self, handles: &mut impl Iterator<Item = Point>) {
        for field in self.blocks.iter_mut().flat_map(|block| &mut block.fields) {
            field.handle = handles.next();
        }
    }

    pub(crate) fn handle(&self, name: &str) -> Option<Point> {
        self.blocks.iter().flat_map(|block| &block.fields).find(|field| field.name == name)?.handle
    }

    /// The status word, where this group reads it and it came.
    pub(crate) fn status_word(&self, found: &Found) -> Option<u16> {
        let index = self.blocks.iter().position(|block| block.span.address == 0)?;
        found.0.get(index)?.as_ref().ok()?.first().copied()
    }

    /// A reading for every point of the group, whatever came.
    pub(crate) fn readings(&self, found: &Found) -> Vec<Reading> {
        let status = self.status_word(found);
        let mut readings = Vec::new();
        for (block, found) in self.blocks.iter().zip(&found.0) {
            for field in &block.fields {
                let Some(point) = field.handle else { continue };
                readings.push(match found {
                    Err(fault) => Reading::bad(point, status_of(fault)),
                    Ok(words) => field.reading(point, words, status),
                });
            }
        }
        readings
    }
}

impl Field {
    fn reading(&self, point: Point, words: &[u16], status: Option<u16>) -> Reading {
        let trust = match (self.doubt, status) {
            (Doubt::Never, _) => Status::GOOD,
            // Nobody says how the measuring unit is.
            (_, None) => Status::UNCERTAIN,
            (_, Some(word)) if word & UNIT_FAILED != 0 => return Reading::bad(point, Status::BAD_SENSOR_FAILURE),
            (Doubt::Transformers, Some(word)) if word & CT_SATURATED != 0 => Status::UNCERTAIN_SENSOR_NOT_ACCURATE,
            (_, Some(word)) if word & PHASE_MISSING != 0 => Status::UNCERTAIN,
            _ => Status::GOOD,
        };
        match (self.decode)(words) {
            Ok(value) => Reading::at(point, value).status(trust),
            Err(status) => Reading::bad(point, status),
        }
    }
}

fn status_of(fault: &Fault) -> Status {
    match fault.code.as_str() {
        "timeout" => Status::BAD_TIMEOUT,
        "illegal-data-address" => Status::BAD_NODE_ID_UNKNOWN,
        _ => Status::BAD_COMMUNICATION_ERROR,
    }
}

/// The groups `default` and `energy`.
pub(crate) fn plans(settings: &Settings) -> Vec<Plan> {
    let (ct, phases) = (settings.ct_ratio, u16::from(settings.phases));
    let default = vec![
        block(0, 1, vec![field("status", Kind::Integer, None, Doubt::Never, |w| Ok(Value::Integer(w[0].into())))]),
        block(
            16,
            phases,
            of_phases(phases, "voltage", "V", Doubt::Phases, |w, phase| match w[phase] {
                0xffff => Err(Status::BAD_NO_DATA),
                tenths => Ok(f64::from(tenths) / 10.0),
            }),
        ),
        block(
            32,
            2 * phases,
            of_phases(phases, "current", "A", Doubt::Transformers, move |w, phase| {
                Ok(f64::from(signed(&w[2 * phase..])?) / 1000.0 * ct)
            }),
        ),
        block(
            48,
            7,
            of_phases(phases, "power", "W", Doubt::Transformers, move |w, phase| {
                Ok(scaled(f64::from(signed(&w[2 * phase..])?), w[6].cast_signed())? * ct)
            }),
        ),
        block(
            60,
            1,
            vec![field("frequency", Kind::Real, Some("Hz"), Doubt::Phases, |w| {
                Ok(Value::Real(f64::from(w[0]) / 100.0))
            })],
        ),
    ];
    let energy = move |at: usize| move |w: &[u16]| Ok(Value::Real(unsigned(&w[at..at + 4]) as f64 * ct / 1000.0));
    let counted = vec![
        block(
            100,
            10,
            vec![
                field("energy_import", Kind::Real, Some("kWh"), Doubt::Never, energy(0)),
                field("energy_export", Kind::Real, Some("kWh"), Doubt::Never, energy(4)),
                field("operating_time", Kind::Duration, None, Doubt::Never, |w| {
                    Ok(Value::Duration(unsigned(&w[8..]).cast_signed() * 1_000_000_000))
                }),
            ],
        ),
        block(120, 8, vec![field("serial_number", Kind::Text, None, Doubt::Never, |w| Ok(Value::Text(text(w))))]),
        demand_limit(),
    ];
    let mut plans = vec![Plan { group: "default", blocks: default }, Plan { group: "energy", blocks: counted }];
    for plan in &mut plans {
        for field in plan.blocks.iter_mut().flat_map(|block| &mut block.fields) {
            field.declared = field.declared.clone().group(Some(plan.group));
        }
    }
    plans
}

fn demand_limit() -> Block {
    let mut limit =
        field("demand_limit", Kind::Real, Some("kW"), Doubt::Never, |w| Ok(Value::Real(f64::from(w[0]) / 100.0)));
    limit.declared = limit.declared.writable(Some(DEMAND_LIMITS));
    let mut block = block(crate::DEMAND_ADDRESS, 1, vec![limit]);
    block.span.table = Table::HoldingRegister;
    block
}

fn block(address: u16, count: u16, fields: Vec<Field>) -> Block {
    Block { span: Span { table: Table::InputRegister, address, count }, fields }
}

fn field(
    name: &str,
    kind: Kind,
    unit: Option<&str>,
    doubt: Doubt,
    decode: impl Fn(&[u16]) -> Result<Value, Status> + 'static,
) -> Field {
    let declared = NewPoint::new(name, kind).unit(unit);
    Field { declared, name: name.to_owned(), doubt, decode: Box::new(decode), handle: None }
}

/// `voltage_l1` and so on, with one decoder that gets the phase.
fn of_phases(
    phases: u16,
    name: &str,
    unit: &str,
    doubt: Doubt,
    decode: impl Fn(&[u16], usize) -> Result<f64, Status> + Clone + 'static,
) -> Vec<Field> {
    let one = |phase: usize| {
        let decode = decode.clone();
        let name = format!("{name}_l{}", phase + 1);
        field(&name, Kind::Real, Some(unit), doubt, move |words| decode(words, phase).map(Value::Real))
    };
    (0..usize::from(phases)).map(one).collect()
}

/// A signed number of two words, the high one first. Its smallest says that there is none.
fn signed(words: &[u16]) -> Result<i32, Status> {
    match i32::from(words[0].cast_signed()) << 16 | i32::from(words[1]) {
        i32::MIN => Err(Status::BAD_NO_DATA),
        number => Ok(number),
    }
}

/// A number of words, the high one first.
fn unsigned(words: &[u16]) -> u64 {
    words.iter().fold(0, |number, word| number << 16 | u64::from(*word))
}

/// A number times a power of ten, divided where it is negative: 3 / 10 is 0.3, 3 × 0.1 is not.
fn scaled(number: f64, exponent: i16) -> Result<f64, Status> {
    if !(-EXPONENT_MAX..=EXPONENT_MAX).contains(&exponent) {
        return Err(Status::BAD_DECODING_ERROR);
    }
    let power = 10f64.powi(i32::from(exponent.abs()));
    Ok(if exponent < 0 { number / power } else { number * power })
}

/// Two characters a word, without what fills up behind them.
pub(crate) fn text(words: &[u16]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_matches(['\0', ' ']).to_owned()
}
