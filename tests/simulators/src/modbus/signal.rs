//! Values that move: what a lively device shows.

use super::{Bank, Table, WordOrder};
use crate::{SimulatorError, service::Tasks};
use std::{f64::consts::TAU, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// A value that changes with time, and where it is shown.
#[derive(Clone, Debug)]
pub enum Signal {
    /// `offset + amplitude · sin(2π · t / period)` as a 32-bit float in two registers.
    Sine {
        /// The table.
        table: Table,
        /// Address of the first register.
        address: u16,
        /// How its words lie.
        order: WordOrder,
        /// Its middle.
        offset: f64,
        /// Half its height.
        amplitude: f64,
        /// Time of one wave.
        period: Duration,
    },
    /// `count` registers that are all one more at each step, starting over after 65,535.
    Counter {
        /// The table.
        table: Table,
        /// Address of the first register.
        address: u16,
        /// How many.
        count: u16,
    },
    /// A 32-bit unsigned counter in two registers.
    Counter32 {
        /// The table.
        table: Table,
        /// Address of the first register.
        address: u16,
        /// How its words lie.
        order: WordOrder,
        /// What is added at each step.
        step: u32,
    },
    /// A bit that is on for `period`, then off for as long.
    Toggle {
        /// The table.
        table: Table,
        /// Its address.
        address: u16,
        /// Time in each state.
        period: Duration,
    },
}

impl Signal {
    /// Shows the value at a step, this long after the start.
    fn show(&self, bank: &Bank, step: u64, since_start: Duration) -> Result<(), SimulatorError> {
        match *self {
            Signal::Sine { table, address, order, offset, amplitude, period } => {
                let phase = since_start.as_secs_f64() / period.as_secs_f64().max(f64::MIN_POSITIVE);
                bank.set_f32(table, address, (offset + amplitude * (TAU * phase).sin()) as f32, order)
            }
            Signal::Counter { table, address, count } => {
                bank.set(table, address, &vec![step as u16; usize::from(count)])
            }
            Signal::Counter32 { table, address, order, step: by } => {
                let value = (step as u32).wrapping_mul(by);
                bank.set(table, address, &order.words(value.to_be_bytes()))
            }
            Signal::Toggle { table, address, period } => {
                let is_on = (since_start.as_nanos() / period.as_nanos().max(1)).is_multiple_of(2);
                bank.set(table, address, &[u16::from(is_on)])
            }
        }
    }
}

/// Moves signals of a bank until it is stopped or dropped.
#[derive(Debug)]
pub struct Generator {
    tasks: Tasks,
}

impl Generator {
    /// Shows every signal at once, then anew at each interval. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`SimulatorError::NoSuchRegister`] where the bank lacks a signal's registers.
    pub fn start(bank: Bank, every: Duration, signals: Vec<Signal>) -> Result<Self, SimulatorError> {
        signals.iter().try_for_each(|signal| signal.show(&bank, 0, Duration::ZERO))?;
        let tasks = Tasks::default();
        tasks.spawn(async move {
            let start = Instant::now();
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            ticks.tick().await;
            for step in 1.. {
                let now = ticks.tick().await.duration_since(start);
                // All addresses were shown once, so they exist.
                let shown = signals.iter().try_for_each(|signal| signal.show(&bank, step, now));
                debug_assert!(shown.is_ok());
            }
        });
        Ok(Self { tasks })
    }

    /// Freezes the values.
    pub async fn stop(&mut self) {
        self.tasks.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modbus::BankLayout;

    #[test]
    fn signals_are_functions_of_time() {
        let bank = Bank::new(BankLayout::uniform(20));
        let second = Duration::from_secs(1);
        let order = WordOrder::Cdab;
        let (table, address) = (Table::InputRegister, 0);
        let sine = Signal::Sine { table, address, order, offset: 50.0, amplitude: 10.0, period: 4 * second };
        sine.show(&bank, 0, second).unwrap();
        assert_eq!(bank.get(table, 0, 2).unwrap(), order.words(60.0_f32.to_be_bytes()));
        let toggle = Signal::Toggle { table: Table::Coil, address: 3, period: second };
        for (ms, expected) in [(0, 1), (999, 1), (1000, 0), (2000, 1)] {
            toggle.show(&bank, 0, Duration::from_millis(ms)).unwrap();
            assert_eq!(bank.get(Table::Coil, 3, 1).unwrap(), [expected], "after {ms} ms");
        }
        Signal::Counter { table, address: 5, count: 3 }.show(&bank, 65_537, second).unwrap();
        assert_eq!(bank.get(table, 5, 3).unwrap(), [1; 3]);
        Signal::Counter32 { table, address: 9, order: WordOrder::Abcd, step: 70_000 }.show(&bank, 2, second).unwrap();
        assert_eq!(bank.get(table, 9, 2).unwrap(), [2, 8928]);
    }
}
