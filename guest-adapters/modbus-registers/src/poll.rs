//! Reading one poll group: the request is made once, each poll is one call to the host and one pass over the words.

use crate::codec::{Codec, Unreadable};
use crate::register_map::MappedPoint;
use bulkhead_sdk::modbus::{self, Span, SpanFault, Words};
use bulkhead_sdk::{Fault, Point, Reading, Remedy, Status, log};

/// The role of the transport that leads to the device.
pub(crate) const TRANSPORT: &str = "device";

/// The points of a group, in the order of their addresses.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: String,
    spans: Vec<Span>,
    items: Vec<Item>,
}

/// One point of a group: where its words are in the answer, and how they are read.
#[derive(Debug)]
struct Item {
    point: Point,
    codec: Codec,
    first_word: usize,
    span: usize,
    /// Whether its last reading failed, so that only the first failure of a row is reported.
    failing: bool,
}

impl Group {
    /// Orders points by address, with one span for each place: bits of one register share it.
    #[must_use]
    pub(crate) fn new(name: &str, mut points: Vec<(Point, MappedPoint)>) -> Self {
        let key = |point: &MappedPoint| (point.place.table as u8, point.place.address, point.codec.words());
        points.sort_by_key(|(_, point)| key(point));
        let mut group = Self { name: name.to_owned(), spans: Vec::new(), items: Vec::with_capacity(points.len()) };
        let (mut last, mut words) = (None, 0);
        for (handle, point) in points {
            let count = usize::from(point.codec.words());
            if last != Some(key(&point)) {
                last = Some(key(&point));
                group.spans.push(span(&point));
                words += count;
            }
            let (first_word, span) = (words - count, group.spans.len() - 1);
            group.items.push(Item { point: handle, codec: point.codec, first_word, span, failing: false });
        }
        group
    }

    /// Reads all points.
    ///
    /// # Errors
    /// The host's fault for the whole call, or the first span's where the device answered to none: then the host knows that
    /// the device is down and does not store a Bad reading a point in every cycle.
    pub(crate) fn poll(&mut self) -> Result<Vec<Reading>, Fault> {
        let answer = modbus::read(TRANSPORT, &self.spans)?;
        let is_down = |fault: &SpanFault| matches!(fault.fault.remedy, Remedy::Retry | Remedy::Reconnect);
        if let Some(first) = answer.faults.first()
            && answer.faults.len() == self.spans.len()
            && answer.faults.iter().all(is_down)
        {
            return Err(first.fault.clone());
        }
        self.readings(&answer)
    }

    fn readings(&mut self, answer: &Words) -> Result<Vec<Reading>, Fault> {
        let mut readings = Vec::with_capacity(self.items.len());
        let mut faults = answer.faults.iter().peekable();
        for item in &mut self.items {
            while faults.next_if(|fault| (fault.index as usize) < item.span).is_some() {}
            let reading = match faults.peek() {
                Some(fault) if fault.index as usize == item.span => item.refused(fault),
                _ => item.read(&answer.words)?,
            };
            readings.push(reading);
        }
        Ok(readings)
    }
}

impl Item {
    #[inline]
    fn read(&mut self, words: &[u16]) -> Result<Reading, Fault> {
        let count = usize::from(self.codec.words());
        let words = words.get(self.first_word..self.first_word + count).ok_or_else(|| {
            Fault::retry(
                "short-answer",
                format!("expected {} words or more, got {}", self.first_word + count, words.len()),
            )
        })?;
        Ok(match self.codec.decode(words) {
            Ok(value) => {
                self.failing = false;
                Reading::at(self.point, value)
            }
            Err(unreadable) => self.unreadable(unreadable, words),
        })
    }

    #[cold]
    fn unreadable(&mut self, unreadable: Unreadable, words: &[u16]) -> Reading {
        let status = unreadable.status();
        if status == Status::BAD_DECODING_ERROR {
            self.report(&Fault::reject(
                "bad-registers",
                format!("{}; the registers are {words:04X?}", unreadable.reason()),
            ));
        }
        self.failing = true;
        Reading::bad(self.point, status)
    }

    #[cold]
    fn refused(&mut self, fault: &SpanFault) -> Reading {
        self.report(&fault.fault);
        self.failing = true;
        Reading::bad(self.point, status(&fault.fault.code))
    }

    fn report(&self, fault: &Fault) {
        if !self.failing {
            log::report(Some(self.point), fault);
        }
    }
}

/// The span of a point.
#[must_use]
pub(crate) fn span(point: &MappedPoint) -> Span {
    Span { table: point.place.table.table(), address: point.place.address, count: point.codec.words() }
}

/// The status that says what a span's fault says.
#[must_use]
pub(crate) fn status(code: &str) -> Status {
    match code {
        "timeout" | "gateway-target-silent" => Status::BAD_TIMEOUT,
        "illegal-data-address" => Status::BAD_NODE_ID_UNKNOWN,
        "not-connected" => Status::BAD_NOT_CONNECTED,
        "illegal-data-value" => Status::BAD_OUT_OF_RANGE,
        "illegal-function" | "not-granted" => Status::BAD_CONFIGURATION_ERROR,
        "device-failure" | "memory-parity-error" => Status::BAD_DEVICE_FAILURE,
        _ => Status::BAD_COMMUNICATION_ERROR,
    }
}
