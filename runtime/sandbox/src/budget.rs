//! A guest's memory as one budget over all of its linear memories and tables, however many it declares.

use crate::limits::{INSTANCES_MAX, TABLE_ELEMENTS_MAX};
use wasmtime::ResourceLimiter;

/// What a guest may take and has taken.
#[derive(Debug)]
pub(crate) struct Budget {
    memory_max_bytes: usize,
    memory_bytes: usize,
    table_elements: usize,
}

/// Bytes of the host that an element of a table takes.
const TABLE_ELEMENT_BYTES: usize = 16;

impl Budget {
    pub(crate) fn new(memory_max_bytes: usize) -> Self {
        Self { memory_max_bytes, memory_bytes: 0, table_elements: 0 }
    }

    /// What it has taken: linear memories and tables. Neither ever shrinks.
    pub(crate) fn bytes(&self) -> usize {
        self.memory_bytes + self.table_elements * TABLE_ELEMENT_BYTES
    }
}

/// Adds the growth to what is taken, if it stays within the bound.
fn grow(taken: &mut usize, bound: usize, current: usize, desired: usize) -> bool {
    let grown = taken.saturating_add(desired.saturating_sub(current));
    let fits = grown <= bound;
    if fits {
        *taken = grown;
    }
    fits
}

impl ResourceLimiter for Budget {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.memory_bytes, self.memory_max_bytes, current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.table_elements, TABLE_ELEMENTS_MAX, current, desired))
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        INSTANCES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memories_of_a_guest_share_one_budget() {
        let mut budget = Budget::new(100);
        assert!(budget.memory_growing(0, 60, None).unwrap());
        assert!(!budget.memory_growing(0, 60, None).unwrap());
        assert!(budget.memory_growing(60, 100, None).unwrap());
        assert!(!budget.memory_growing(0, 1, None).unwrap());
    }
}
