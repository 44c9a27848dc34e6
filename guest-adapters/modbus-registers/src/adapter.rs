//! The adapter: the register map in the roles poller and writer.

use crate::poll::{self, Group, TRANSPORT};
use crate::register_map::{self, MappedPoint};
use crate::settings::Settings;
use crate::{point_list, write};
use bulkhead_sdk::prelude::*;
use std::collections::HashMap;

/// A register map at work.
#[derive(Debug)]
pub struct ModbusRegisters {
    groups: Vec<Group>,
    /// One point of each table, for `check`.
    samples: Vec<MappedPoint>,
    writable: HashMap<Point, MappedPoint>,
}

impl Adapter for ModbusRegisters {
    type Settings = Settings;

    fn start(settings: Settings) -> Result<Self, Fault> {
        let listed = settings.points_csv.as_deref().map_or(Ok(Vec::new()), point_list::parse)?;
        let (mapped, declared) = register_map::map(settings, listed)?;
        let handles = points::declare(declared)?;
        let mut samples: Vec<MappedPoint> = Vec::new();
        let mut groups: Vec<(String, Vec<(Point, MappedPoint)>)> = Vec::new();
        let mut writable = HashMap::new();
        for (handle, point) in handles.into_iter().zip(mapped) {
            if samples.iter().all(|sample| sample.place.table != point.place.table) {
                samples.push(point.clone());
            }
            if point.writable {
                writable.insert(handle, point.clone());
            }
            match groups.iter_mut().find(|(name, _)| *name == point.group) {
                Some((_, members)) => members.push((handle, point)),
                None => groups.push((point.group.clone(), vec![(handle, point)])),
            }
        }
        let groups = groups.into_iter().map(|(name, members)| Group::new(&name, members)).collect();
        Ok(Self { groups, samples, writable })
    }

    /// Reads the first point of each table. A device that refuses all of them is a fault.
    fn check(&mut self) -> Result<String, Fault> {
        let spans: Vec<_> = self.samples.iter().map(poll::span).collect();
        let answer = modbus::read(TRANSPORT, &spans)?;
        if let Some(refused) = answer.faults.first()
            && answer.faults.len() == spans.len()
        {
            return Err(refused.fault.clone());
        }
        let mut first_word = 0;
        let mut found = Vec::new();
        for (index, point) in self.samples.iter().enumerate() {
            let words =
                answer.words.iter().skip(first_word).take(point.codec.words().into()).copied().collect::<Vec<_>>();
            first_word += words.len();
            let refused = answer.faults.iter().find(|fault| fault.index as usize == index);
            found.push(describe(point, &words, refused.map(|refused| &refused.fault)));
        }
        let found = format!("the device answers: {}", found.join("; "));
        match answer.faults.first() {
            None => Ok(found),
            Some(refused) => Err(Fault { message: found, ..refused.fault.clone() }),
        }
    }
}

fn describe(point: &MappedPoint, words: &[u16], refused: Option<&Fault>) -> String {
    let place = format!("{} {} (`{}`)", point.place.table.name(), point.place.address, point.name);
    if let Some(fault) = refused {
        return format!("{place} is refused: {}", fault.message);
    }
    match point.codec.decode(words) {
        Ok(value) => format!("{place} is {value}"),
        Err(unreadable) => format!("{place} is {words:04X?}, {}", unreadable.reason()),
    }
}

impl Poller for ModbusRegisters {
    fn poll(&mut self, group: &str) -> Result<Vec<Reading>, Fault> {
        // A group of the connection's schedule without points here has nothing to read.
        self.groups.iter_mut().find(|known| known.name == group).map_or(Ok(Vec::new()), Group::poll)
    }
}

impl Writer for ModbusRegisters {
    fn write(&mut self, command: &Command) -> Result<(), Fault> {
        let point = Point::of(command);
        match self.writable.get(&point) {
            Some(mapped) => write::write(mapped, &command.value),
            None => {
                let name = point.name().unwrap_or_else(|| format!("number {}", point.number()));
                Err(Fault::reject("not-writable", format!("point `{name}` is not writable: see its `writable`")))
            }
        }
    }
}

#[cfg(feature = "component")]
bulkhead_sdk::export!(ModbusRegisters: poller, writer);
