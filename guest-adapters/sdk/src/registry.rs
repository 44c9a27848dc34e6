//! The names an instance has used and the numbers they stand for.
//!
//! A reading names its point by number. The first reading of a new name gets a provisional number and the point waits
//! here; when the role's call ends, all waiting points are declared in one batch and the readings' provisional numbers
//! are replaced. From then on a name is looked up and nothing but numbers crosses to the host. A reading that an adapter
//! keeps from one call to a later one stays right, because provisional numbers are never given twice.

use crate::bindings::bulkhead::adapter::types::PointInfo;
use crate::{Fault, Kind, Reading, WriteLimits, points};
use std::cell::RefCell;
use std::collections::HashMap;

/// Provisional numbers begin here; the host numbers points from zero and never gets as far.
const FIRST_PROVISIONAL: u32 = 0xF000_0000;

/// Kinds there are; names are kept apart by kind, because the same name with another kind is another point.
const KINDS: usize = 9;

thread_local! {
    static REGISTRY: RefCell<Registry> = RefCell::new(Registry::default());
}

/// Gives the instance's registry to `body`, which must not come back here.
pub(crate) fn with<T>(body: impl FnOnce(&mut Registry) -> T) -> T {
    REGISTRY.with_borrow_mut(body)
}

struct Entry {
    info: PointInfo,
    number: u32,
    changed: bool,
}

/// Names, numbers and what the host has not been told yet.
#[derive(Default)]
pub(crate) struct Registry {
    by_name: [HashMap<String, usize>; KINDS],
    by_number: HashMap<u32, usize>,
    entries: Vec<Entry>,
    /// Index of the entry of each provisional number given so far.
    provisional: Vec<usize>,
    /// Indexes of entries that the host has to be told of.
    waiting: Vec<usize>,
    /// The entry used last: a reading's helpers follow its constructor.
    last: usize,
}

impl Registry {
    /// The number of a name of a kind; a provisional one where the name is new.
    pub(crate) fn number(&mut self, name: &str, kind: Kind) -> u32 {
        if let Some(&index) = self.by_name[kind as usize].get(name) {
            self.last = index;
            return self.entries[index].number;
        }
        let index = self.entries.len();
        let number = FIRST_PROVISIONAL + self.provisional.len() as u32;
        self.provisional.push(index);
        self.entries.push(Entry { info: points::info(name, kind), number, changed: true });
        self.by_name[kind as usize].insert(name.to_owned(), index);
        self.waiting.push(index);
        self.last = index;
        number
    }

    fn index(&self, number: u32) -> Option<usize> {
        if self.entries.get(self.last).is_some_and(|entry| entry.number == number) {
            return Some(self.last);
        }
        match number.checked_sub(FIRST_PROVISIONAL) {
            Some(provisional) => self.provisional.get(provisional as usize).copied(),
            None => self.by_number.get(&number).copied(),
        }
    }

    /// What is known of a point; none for a number that was not declared here.
    pub(crate) fn info(&self, number: u32) -> Option<&PointInfo> {
        self.index(number).map(|index| &self.entries[index].info)
    }

    fn change(&mut self, number: u32, is_same: impl Fn(&PointInfo) -> bool, set: impl FnOnce(&mut PointInfo)) {
        let Some(index) = self.index(number) else { return };
        let entry = &mut self.entries[index];
        if is_same(&entry.info) {
            return;
        }
        set(&mut entry.info);
        if !entry.changed {
            entry.changed = true;
            self.waiting.push(index);
        }
    }

    pub(crate) fn set_unit(&mut self, number: u32, unit: &str) {
        self.change(number, |info| info.unit.as_deref() == Some(unit), |info| info.unit = Some(unit.to_owned()));
    }

    pub(crate) fn set_group(&mut self, number: u32, group: &str) {
        self.change(number, |info| info.group.as_deref() == Some(group), |info| info.group = Some(group.to_owned()));
    }

    pub(crate) fn set_description(&mut self, number: u32, text: &str) {
        self.change(
            number,
            |info| info.description.as_deref() == Some(text),
            |info| info.description = Some(text.to_owned()),
        );
    }

    pub(crate) fn set_write(&mut self, number: u32, limits: WriteLimits) {
        self.change(number, |info| info.write == Some(limits), |info| info.write = Some(limits));
    }

    /// Remembers points that were declared directly, so that commands can be named and names are not declared twice.
    pub(crate) fn remember(&mut self, infos: Vec<PointInfo>, numbers: &[u32]) {
        for (info, &number) in infos.into_iter().zip(numbers) {
            let names = &mut self.by_name[info.kind as usize];
            let index = match names.get(&info.name) {
                Some(&index) => index,
                None => {
                    names.insert(info.name.clone(), self.entries.len());
                    self.entries.push(Entry { info: info.clone(), number, changed: false });
                    self.entries.len() - 1
                }
            };
            self.by_number.insert(number, index);
            let entry = &mut self.entries[index];
            (entry.info, entry.number) = (info, number);
        }
    }

    /// The infos that the host has to be told of, in order.
    fn waiting(&self) -> Vec<PointInfo> {
        self.waiting.iter().map(|&index| self.entries[index].info.clone()).collect()
    }

    /// The host gave these numbers to what was waiting.
    fn told(&mut self, numbers: &[u32]) {
        for (index, &number) in std::mem::take(&mut self.waiting).into_iter().zip(numbers) {
            let entry = &mut self.entries[index];
            (entry.number, entry.changed) = (number, false);
            self.by_number.insert(number, index);
        }
    }

    fn resolve(&self, readings: &mut [Reading]) {
        for reading in readings {
            if let Some(provisional) = reading.point.checked_sub(FIRST_PROVISIONAL)
                && let Some(&index) = self.provisional.get(provisional as usize)
            {
                reading.point = self.entries[index].number;
            }
        }
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Declares what is waiting and replaces provisional numbers: the last step of each call that returns readings.
pub(crate) fn settle(readings: &mut [Reading]) -> Result<(), Fault> {
    let waiting = with(|registry| registry.waiting());
    if !waiting.is_empty() {
        let numbers = points::declare_infos(&waiting)?;
        with(|registry| registry.told(&numbers));
    }
    with(|registry| {
        if !registry.provisional.is_empty() {
            registry.resolve(readings);
        }
    });
    Ok(())
}
