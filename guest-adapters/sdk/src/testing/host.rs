//! A host that does what a test tells it, one a thread.

use crate::bindings::bulkhead::adapter::types::PointInfo;
use crate::host::http::{Incoming, Outgoing};
use crate::host::log::Level;
use crate::host::modbus::{Change, Span, SpanFault, Table, Words};
use crate::host::mqtt::Message;
use crate::{Fault, registry};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

type Exchange = Rc<dyn Fn(&str, &[u8]) -> Result<Vec<u8>, Fault>>;
type HttpServer = Rc<dyn Fn(&str, &Outgoing) -> Result<Incoming, Fault>>;

thread_local! {
    static CURRENT: RefCell<Host> = RefCell::new(Host::default());
}

/// The host of this thread's adapters. Cloning gives another handle to the same host.
#[derive(Clone, Default)]
pub struct Host {
    inner: Rc<RefCell<Inner>>,
}

#[derive(Default)]
struct Inner {
    points: Vec<PointInfo>,
    declare_calls: usize,
    declare_fault: Option<Fault>,
    lines: Vec<(Level, String)>,
    reports: Vec<(Option<u32>, Fault)>,
    now: i64,
    monotonic: u64,
    timers: Vec<(String, u32)>,
    state: BTreeMap<String, Vec<u8>>,
    registers: BTreeMap<(u8, u16), u16>,
    modbus_fault: Option<Fault>,
    modbus_faults_at: BTreeMap<(u8, u16), Fault>,
    modbus_reads: Vec<Vec<Span>>,
    modbus_writes: Vec<Change>,
    exchange: Option<Exchange>,
    sent: Vec<Vec<u8>>,
    http: Option<HttpServer>,
    http_requests: Vec<Outgoing>,
    published: Vec<Message>,
    publish_fault: Option<Fault>,
    will: Option<Message>,
}

/// What a test says beforehand and asks afterwards.
impl Host {
    /// Replaces this thread's host by a fresh one and forgets all declared points.
    #[must_use]
    pub fn install() -> Self {
        registry::with(registry::Registry::clear);
        let host = Host::default();
        CURRENT.set(host.clone());
        host
    }

    /// This thread's host.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The points declared so far, as they are now, by number.
    #[must_use]
    pub fn points(&self) -> Vec<PointInfo> {
        self.inner.borrow().points.clone()
    }

    /// How many times points were declared.
    #[must_use]
    pub fn declare_calls(&self) -> usize {
        self.inner.borrow().declare_calls
    }

    /// From now on declaring ends in this fault.
    pub fn fail_declare(&self, fault: Option<Fault>) {
        self.inner.borrow_mut().declare_fault = fault;
    }

    /// The journal's lines.
    #[must_use]
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.inner.borrow().lines.clone()
    }

    /// What was reported: the point's name and the fault.
    #[must_use]
    pub fn reports(&self) -> Vec<(Option<String>, Fault)> {
        let inner = self.inner.borrow();
        let name = |point: u32| inner.points.get(point as usize).map(|info| info.name.clone());
        inner.reports.iter().map(|(point, fault)| (point.and_then(name), fault.clone())).collect()
    }

    /// Sets the wall clock.
    pub fn set_now(&self, nanoseconds: i64) {
        self.inner.borrow_mut().now = nanoseconds;
    }

    /// Sets the monotonic clock.
    pub fn set_monotonic(&self, nanoseconds: u64) {
        self.inner.borrow_mut().monotonic = nanoseconds;
    }

    /// The timers that were set: name and milliseconds.
    #[must_use]
    pub fn timers(&self) -> Vec<(String, u32)> {
        self.inner.borrow().timers.clone()
    }

    /// Gives a Modbus device registers or bits from an address on.
    pub fn set_registers(&self, table: Table, address: u16, words: &[u16]) {
        let mut inner = self.inner.borrow_mut();
        for (offset, word) in words.iter().enumerate() {
            inner.registers.insert((table as u8, address + offset as u16), *word);
        }
    }

    /// What the Modbus device holds at an address.
    #[must_use]
    pub fn register(&self, table: Table, address: u16) -> Option<u16> {
        self.inner.borrow().registers.get(&(table as u8, address)).copied()
    }

    /// From now on every Modbus call as a whole ends in this fault.
    pub fn fail_modbus(&self, fault: Option<Fault>) {
        self.inner.borrow_mut().modbus_fault = fault;
    }

    /// From now on a span or change that covers this register ends in this fault.
    pub fn fail_register(&self, table: Table, address: u16, fault: Fault) {
        self.inner.borrow_mut().modbus_faults_at.insert((table as u8, address), fault);
    }

    /// The spans of each Modbus read.
    #[must_use]
    pub fn modbus_reads(&self) -> Vec<Vec<Span>> {
        self.inner.borrow().modbus_reads.clone()
    }

    /// What was written to the Modbus device.
    #[must_use]
    pub fn modbus_writes(&self) -> Vec<Change> {
        self.inner.borrow().modbus_writes.clone()
    }

    /// How a serial or TCP device answers: transport and request to frame.
    pub fn on_exchange(&self, answer: impl Fn(&str, &[u8]) -> Result<Vec<u8>, Fault> + 'static) {
        self.inner.borrow_mut().exchange = Some(Rc::new(answer));
    }

    /// What was sent without waiting for an answer.
    #[must_use]
    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.inner.borrow().sent.clone()
    }

    /// How an HTTP server answers.
    pub fn on_http(&self, answer: impl Fn(&str, &Outgoing) -> Result<Incoming, Fault> + 'static) {
        self.inner.borrow_mut().http = Some(Rc::new(answer));
    }

    /// The HTTP requests so far.
    #[must_use]
    pub fn http_requests(&self) -> Vec<Outgoing> {
        self.inner.borrow().http_requests.clone()
    }

    /// From now on publishing ends in this fault.
    pub fn fail_publish(&self, fault: Option<Fault>) {
        self.inner.borrow_mut().publish_fault = fault;
    }

    /// The MQTT messages published.
    #[must_use]
    pub fn published(&self) -> Vec<Message> {
        self.inner.borrow().published.clone()
    }

    /// The last will.
    #[must_use]
    pub fn will(&self) -> Option<Message> {
        self.inner.borrow().will.clone()
    }
}

/// What the capability modules call.
impl Host {
    pub(crate) fn declare(&self, infos: &[PointInfo]) -> Result<Vec<u32>, Fault> {
        let mut inner = self.inner.borrow_mut();
        inner.declare_calls += 1;
        if let Some(fault) = &inner.declare_fault {
            return Err(fault.clone());
        }
        let mut declare = |info: &PointInfo| match inner
            .points
            .iter()
            .position(|known| known.name == info.name && known.kind == info.kind)
        {
            Some(index) => {
                inner.points[index] = info.clone();
                index as u32
            }
            None => {
                inner.points.push(info.clone());
                inner.points.len() as u32 - 1
            }
        };
        Ok(infos.iter().map(&mut declare).collect())
    }

    pub(crate) fn info(&self, number: u32) -> Option<PointInfo> {
        self.inner.borrow().points.get(number as usize).cloned()
    }

    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.inner.borrow().points.iter().position(|info| info.name == name).map(|index| index as u32)
    }

    pub(crate) fn log(&self, level: Level, line: &str) {
        self.inner.borrow_mut().lines.push((level, line.to_owned()));
    }

    pub(crate) fn report(&self, point: Option<u32>, fault: &Fault) {
        self.inner.borrow_mut().reports.push((point, fault.clone()));
    }

    pub(crate) fn now(&self) -> i64 {
        self.inner.borrow().now
    }

    pub(crate) fn monotonic(&self) -> u64 {
        self.inner.borrow().monotonic
    }

    pub(crate) fn set_timer(&self, name: &str, after_ms: u32) -> bool {
        self.inner.borrow_mut().timers.push((name.to_owned(), after_ms));
        true
    }

    pub(crate) fn state_get(&self, key: &str) -> Option<Vec<u8>> {
        self.inner.borrow().state.get(key).cloned()
    }

    pub(crate) fn state_set(&self, key: &str, value: &[u8]) -> Result<(), Fault> {
        self.inner.borrow_mut().state.insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    pub(crate) fn state_remove(&self, key: &str) {
        self.inner.borrow_mut().state.remove(key);
    }

    pub(crate) fn modbus_read(&self, _transport: &str, spans: &[Span]) -> Result<Words, Fault> {
        let mut inner = self.inner.borrow_mut();
        if let Some(fault) = &inner.modbus_fault {
            return Err(fault.clone());
        }
        inner.modbus_reads.push(spans.to_vec());
        let mut answer = Words { words: Vec::new(), faults: Vec::new() };
        for (index, span) in spans.iter().enumerate() {
            let mut fault = None;
            for address in span.address..=span.address + (span.count - 1) {
                let key = (span.table as u8, address);
                let word = inner.registers.get(&key).copied();
                fault = fault.or_else(|| inner.modbus_faults_at.get(&key).cloned());
                if word.is_none() {
                    fault = fault.or_else(|| {
                        Some(Fault::reject("illegal-data-address", format!("the device has no register {address}")))
                    });
                }
                answer.words.push(word.unwrap_or(0xDEAD));
            }
            answer.faults.extend(fault.map(|fault| SpanFault { index: index as u32, fault }));
        }
        Ok(answer)
    }

    pub(crate) fn modbus_write(&self, _transport: &str, changes: &[Change]) -> Vec<Result<(), Fault>> {
        changes.iter().map(|change| self.modbus_change(change)).collect()
    }

    fn modbus_change(&self, change: &Change) -> Result<(), Fault> {
        let mut inner = self.inner.borrow_mut();
        if let Some(fault) = &inner.modbus_fault {
            return Err(fault.clone());
        }
        let keys = (change.address..).take(change.words.len()).map(|address| (change.table as u8, address));
        for (key, word) in keys.zip(&change.words) {
            if let Some(fault) = inner.modbus_faults_at.get(&key) {
                return Err(fault.clone());
            }
            inner.registers.insert(key, *word);
        }
        inner.modbus_writes.push(change.clone());
        Ok(())
    }

    pub(crate) fn exchange(&self, transport: &str, request: &[u8]) -> Result<Vec<u8>, Fault> {
        let exchange = self.inner.borrow().exchange.clone();
        match exchange {
            Some(exchange) => exchange(transport, request),
            None => Err(Fault::retry("timeout", "the test's host has no device on this line: see Host::on_exchange")),
        }
    }

    pub(crate) fn send(&self, _transport: &str, data: &[u8]) -> Result<(), Fault> {
        self.inner.borrow_mut().sent.push(data.to_vec());
        Ok(())
    }

    pub(crate) fn publish(&self, _transport: &str, message: &Message) -> Result<(), Fault> {
        let mut inner = self.inner.borrow_mut();
        if let Some(fault) = &inner.publish_fault {
            return Err(fault.clone());
        }
        inner.published.push(message.clone());
        Ok(())
    }

    pub(crate) fn set_will(&self, _transport: &str, message: &Message) -> Result<(), Fault> {
        self.inner.borrow_mut().will = Some(message.clone());
        Ok(())
    }

    pub(crate) fn http_request(&self, transport: &str, request: &Outgoing) -> Result<Incoming, Fault> {
        self.inner.borrow_mut().http_requests.push(request.clone());
        let server = self.inner.borrow().http.clone();
        match server {
            Some(server) => server(transport, request),
            None => Err(Fault::retry("connect", "the test's host has no HTTP server: see Host::on_http")),
        }
    }
}
