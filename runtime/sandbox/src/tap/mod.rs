//! Looking on while a connection works: what the host calls its guests for, what they ask of the host, what comes of it.
//!
//! Both guests of a connection tell one [`Tap`]. While nobody listens, telling is one look at an atomic flag: what would be
//! told is not even made. A [`Listening`] holds a bounded queue; what finds no room in it is counted and told of in its place,
//! so that no listener ever holds a connection up.

mod event;
mod queue;

pub use event::{Answered, Asked, Brought, Call, Kinds, ModbusRequest, Refused, TapEvent, TapReading, Told};
pub use queue::{Heard, TAP_QUEUE_MAX_BYTES, TAP_QUEUE_MAX_EVENTS};

use crate::capability::{Clock, Fault};
use crate::error::CallError;
use event::Answer;
use parking_lot::Mutex;
use queue::Queue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Where the guests of one connection tell what they do. Clones share the listeners.
#[derive(Clone, Default)]
pub struct Tap {
    shared: Arc<Shared>,
    /// Which guest tells, from 1 on; 0: none does, but a transport.
    guest: u32,
}

#[derive(Default)]
struct Shared {
    /// Whether anybody listens: all that is looked at while nobody does.
    is_open: AtomicBool,
    listeners: Mutex<Vec<Arc<Queue>>>,
    guests: AtomicU32,
}

impl Tap {
    /// The end of a guest of its own.
    pub(crate) fn of_another_guest(&self) -> Self {
        let guest = self.shared.guests.fetch_add(1, Ordering::Relaxed) + 1;
        Self { shared: self.shared.clone(), guest }
    }

    /// Listens from now on to what is of these kinds, until it is dropped.
    #[must_use]
    pub fn listen(&self, kinds: Kinds) -> Listening {
        let queue = Arc::new(Queue::new(kinds));
        let mut listeners = self.shared.listeners.lock();
        listeners.push(queue.clone());
        self.shared.is_open.store(true, Ordering::Relaxed);
        drop(listeners);
        Listening { shared: self.shared.clone(), queue }
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.is_open.load(Ordering::Relaxed)
    }

    /// Tells what `told` makes, if anybody listens.
    pub fn tell(&self, clock: &Arc<dyn Clock>, told: impl FnOnce() -> Told) {
        if self.is_open() {
            self.put(TapEvent { time: clock.now(), guest: self.guest, told: told() });
        }
    }

    /// Tells that the host calls a guest. What comes of the call is told to what is returned.
    pub(crate) fn calls(&self, clock: &Arc<dyn Clock>, call: impl FnOnce() -> Call) -> Calling {
        if !self.is_open() {
            return Calling(None);
        }
        let call = call();
        let begun =
            Begun { tap: self.clone(), clock: clock.clone(), since_ns: clock.monotonic_ns(), name: call.name() };
        self.put(TapEvent { time: clock.now(), guest: self.guest, told: Told::Calls(call) });
        Calling(Some(Box::new(begun)))
    }

    /// Begins to tell of something that a guest asks of the host; it is told with its answer.
    pub(crate) fn asks(
        &self,
        clock: &Arc<dyn Clock>,
        transport: Option<&str>,
        asked: impl FnOnce() -> Asked,
    ) -> Asking {
        if !self.is_open() {
            return Asking(None);
        }
        Asking(Some(Box::new(Pending {
            tap: self.clone(),
            clock: clock.clone(),
            since_ns: clock.monotonic_ns(),
            transport: transport.map(str::to_owned),
            asked: asked(),
        })))
    }

    fn put(&self, event: TapEvent) {
        let event = Arc::new(event);
        for queue in self.shared.listeners.lock().iter() {
            queue.put(&event);
        }
    }
}

/// A call of a guest that somebody looks on at; nothing where nobody does.
pub(crate) struct Calling(Option<Box<Begun>>);

struct Begun {
    tap: Tap,
    clock: Arc<dyn Clock>,
    since_ns: u64,
    name: &'static str,
}

impl Calling {
    /// Tells what came of the call and hands it on.
    pub(crate) fn hear<T>(
        self,
        outcome: Result<T, CallError>,
        brought: impl FnOnce(&T) -> Brought,
    ) -> Result<T, CallError> {
        if let Some(begun) = self.0 {
            let took_us = begun.clock.monotonic_ns().saturating_sub(begun.since_ns) / 1000;
            let told = outcome.as_ref().map(brought).map_err(Refused::of);
            let told = Told::Returns { call: begun.name, took_us, outcome: told };
            begun.tap.put(TapEvent { time: begun.clock.now(), guest: begun.tap.guest, told });
        }
        outcome
    }
}

/// Something a guest asks of the host while somebody looks on; nothing where nobody does.
pub(crate) struct Asking(Option<Box<Pending>>);

struct Pending {
    tap: Tap,
    clock: Arc<dyn Clock>,
    since_ns: u64,
    transport: Option<String>,
    asked: Asked,
}

impl Asking {
    /// Tells what was asked and answered, and hands the answer on.
    pub(crate) fn hear<T: Answer>(self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        self.told(|| outcome.as_ref().map_or_else(|fault| Answered::Fault(fault.clone()), Answer::told));
        outcome
    }

    /// The same where each item has an outcome of its own.
    pub(crate) fn hear_each(self, results: Vec<Result<(), Fault>>) -> Vec<Result<(), Fault>> {
        self.told(|| Answered::Each(results.clone()));
        results
    }

    fn told(self, answered: impl FnOnce() -> Answered) {
        if let Some(pending) = self.0 {
            let Pending { tap, clock, since_ns, transport, asked } = *pending;
            let took_us = clock.monotonic_ns().saturating_sub(since_ns) / 1000;
            let told = Told::Asks { transport, asked, answered: answered(), took_us };
            tap.put(TapEvent { time: clock.now(), guest: tap.guest, told });
        }
    }
}

/// Somebody who listens to a connection. Dropping it ends that.
pub struct Listening {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
}

impl Listening {
    /// Waits for what comes next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Heard {
        self.queue.next().await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listeners = self.shared.listeners.lock();
        listeners.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        self.shared.is_open.store(!listeners.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::Timestamp;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            Timestamp(7)
        }
        fn monotonic_ns(&self) -> u64 {
            5_000
        }
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(Stopped)
    }

    fn said(number: usize) -> Told {
        Told::Says { level: crate::capability::Level::Info, message: format!("{number:04}") }
    }

    #[test]
    fn what_nobody_listens_to_is_not_made() {
        let tap = Tap::default().of_another_guest();
        tap.tell(&clock(), || unreachable!("nobody listens"));
        let asking = tap.asks(&clock(), None, || unreachable!("nobody listens"));
        assert!(asking.hear(Ok(())).is_ok());
        let calling = tap.calls(&clock(), || unreachable!("nobody listens"));
        assert!(calling.hear(Ok(()), |()| unreachable!("nobody listens")).is_ok());
        let listening = tap.listen(Kinds::ALL);
        assert!(tap.is_open());
        drop(listening);
        assert!(!tap.is_open());
    }

    #[tokio::test]
    async fn two_listeners_hear_the_same_each_what_it_wants() {
        let tap = Tap::default();
        let (first, second) = (tap.of_another_guest(), tap.of_another_guest());
        let mut all = tap.listen(Kinds::ALL);
        let mut faults = tap.listen(Kinds { faults: true, ..Kinds::NONE });
        first.tell(&clock(), || said(1));
        second.tell(&clock(), || Told::Reports {
            point: None,
            fault: Fault::new(crate::capability::Remedy::Retry, "timeout", "no answer"),
        });
        let heard = [all.next().await, all.next().await, faults.next().await];
        let guests: Vec<u32> = heard
            .iter()
            .map(|heard| match heard {
                Heard::Event(event) => event.guest,
                Heard::Dropped(_) => panic!("nothing was dropped"),
            })
            .collect();
        assert_eq!(guests, [1, 2, 2]);
    }

    #[tokio::test]
    async fn a_listener_who_does_not_read_costs_a_bounded_queue_and_is_told_what_it_missed() {
        let tap = Tap::default().of_another_guest();
        let mut listening = tap.listen(Kinds::ALL);
        for number in 0..TAP_QUEUE_MAX_EVENTS + 10 {
            tap.tell(&clock(), || said(number));
        }
        for number in 0..TAP_QUEUE_MAX_EVENTS {
            let Heard::Event(event) = listening.next().await else { panic!("{number}: the oldest come first") };
            assert!(matches!(&event.told, Told::Says { message, .. } if *message == format!("{number:04}")));
        }
        assert!(matches!(listening.next().await, Heard::Dropped(10)));
        tap.tell(&clock(), || said(1));
        assert!(matches!(listening.next().await, Heard::Event(_)));
    }

    #[tokio::test]
    async fn long_payloads_fill_the_queue_by_their_bytes_and_a_gap_is_told_where_it_is() {
        let tap = Tap::default().of_another_guest();
        let mut listening = tap.listen(Kinds::ALL);
        let long =
            || Told::Says { level: crate::capability::Level::Info, message: "x".repeat(TAP_QUEUE_MAX_BYTES / 2) };
        for _ in 0..3 {
            tap.tell(&clock(), long);
        }
        assert!(matches!(listening.next().await, Heard::Event(_)));
        tap.tell(&clock(), || said(9));
        assert!(matches!(listening.next().await, Heard::Dropped(2)), "one found room, two did not");
        assert!(matches!(listening.next().await, Heard::Event(_)));
    }
}
