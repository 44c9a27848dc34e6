//! One event stream at work: a cursor into the log that moves as fast as its client reads.

use crate::history::cursor;
use crate::holes;
use crate::json::{self, ShownNamedReading};
use crate::limits::{CHUNK_ROWS, HEARTBEAT};
use crate::parameters::Position;
use bulkhead_config::glob::Selector;
use bulkhead_log::{Catalogue, Log, LogError, Missing, Point, Row};
use bulkhead_model::{PointId, Seq};
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

/// Where a stream begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// With the next reading.
    Now,
    /// Behind a position.
    After(Position),
}

/// Which readings a stream has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Only this connection's.
    pub(crate) connection: Option<String>,
    /// Only those one of these takes; none: all.
    pub(crate) selectors: Vec<Selector>,
}

impl Filter {
    fn takes(&self, point: &Point) -> bool {
        self.connection.as_deref().is_none_or(|name| *point.connection == *name)
            && (self.selectors.is_empty()
                || self.selectors.iter().any(|selector| selector.matches(&point.connection, &point.info.name)))
    }
}

/// What a stream says next.
#[derive(Debug)]
enum Say {
    Readings(Vec<ShownNamedReading>),
    Gap {
        reason: &'static str,
        from: Option<Seq>,
        to: Seq,
    },
    /// Nothing new.
    Heartbeat,
}

impl Say {
    /// As an event with the position it leads to (WHATWG HTML §9.2.6).
    fn event(&self, id: &str) -> Bytes {
        let text = match self {
            Say::Readings(readings) => {
                format!("event: readings\nid: {id}\ndata: {}\n\n", json!({ "readings": readings }))
            }
            Say::Gap { reason, from, to } => {
                format!("event: gap\nid: {id}\ndata: {}\n\n", json!({ "reason": reason, "from": from, "to": to }))
            }
            // Without data no event is dispatched, but the id counts.
            Say::Heartbeat => format!(": heartbeat\nid: {id}\n\n"),
        };
        Bytes::from(text)
    }
}

/// A stream's cursor and what it needs to move.
pub(crate) struct Feed {
    log: Log,
    filter: Filter,
    /// Points whose names were matched already.
    matched: HashMap<PointId, bool>,
    position: Seq,
    /// To be said before anything else.
    first: Option<Say>,
    /// What was read and is still to be said.
    pending: VecDeque<Part>,
    committed: watch::Receiver<Seq>,
    shutdown: CancellationToken,
    /// Longest silence.
    heartbeat: Duration,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    pub(crate) fn new(
        log: Log,
        start: Start,
        filter: Filter,
        shutdown: CancellationToken,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let committed = log.committed();
        let now = *committed.borrow();
        let (position, first) = match start {
            // Said at once, so that a client that is cut off before the first reading has a position to resume from.
            Start::Now => (now, Some(Say::Heartbeat)),
            Start::After(Position { log: Some(other), .. }) if other != log.id().as_str() => {
                (0, Some(Say::Gap { reason: "other-log", from: None, to: 0 }))
            }
            Start::After(position) => (position.seq, None),
        };
        Self {
            log,
            filter,
            matched: HashMap::new(),
            position,
            first,
            pending: VecDeque::new(),
            committed,
            shutdown,
            heartbeat: HEARTBEAT,
            _place: place,
        }
    }

    /// The events, until the server stops or the log fails.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        unfold(self, async |mut feed| {
            let say = feed.next().await?;
            let event = say.event(&cursor(&feed.log.id(), feed.position));
            Some((Ok(event), feed))
        })
    }

    async fn next(&mut self) -> Option<Say> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let heartbeat = tokio::time::sleep(self.heartbeat);
        let mut heartbeat = std::pin::pin!(heartbeat);
        loop {
            if self.shutdown.is_cancelled() {
                return None;
            }
            // Marked as seen before reading: what is committed meanwhile wakes the wait below.
            self.committed.borrow_and_update();
            match self.read().await? {
                Read::Say(say) => return Some(say),
                // A long stretch without a match: say where we are now and then.
                Read::NoMatch => tokio::select! {
                    biased;
                    () = heartbeat.as_mut() => return Some(Say::Heartbeat),
                    () = std::future::ready(()) => {}
                },
                Read::End => tokio::select! {
                    () = self.shutdown.cancelled() => return None,
                    () = heartbeat.as_mut() => return Some(Say::Heartbeat),
                    changed = self.committed.changed() => changed.ok()?,
                },
            }
        }
    }

    /// Takes the next part of a chunk, or a chunk from the log, and moves behind it.
    async fn read(&mut self) -> Option<Read> {
        if self.pending.is_empty() {
            let (log, position) = (self.log.clone(), self.position);
            match tokio::task::spawn_blocking(move || parts(&log, position)).await.ok()? {
                Ok(parts) => self.pending = parts,
                Err(error) => {
                    tracing::error!("an event stream ends: {}", crate::problem::chain(&error));
                    return None;
                }
            }
        }
        Some(match self.pending.pop_front() {
            Some(Part::Rows(rows)) => self.take(&rows),
            Some(Part::Missing(missing)) => {
                self.position = missing.last;
                if !holes::is_told(&self.log, &missing) {
                    return Some(Read::NoMatch);
                }
                let reason = holes::reason(&missing);
                Read::Say(Say::Gap { reason, from: Some(missing.first), to: missing.last })
            }
            None => Read::End,
        })
    }

    fn take(&mut self, rows: &[Row]) -> Read {
        let Some(last) = rows.last() else { return Read::End };
        self.position = last.seq;
        let catalogue = self.log.catalogue();
        let readings: Vec<_> = rows.iter().filter_map(|row| self.shown(row, &catalogue)).collect();
        if readings.is_empty() { Read::NoMatch } else { Read::Say(Say::Readings(readings)) }
    }

    fn shown(&mut self, row: &Row, catalogue: &Catalogue) -> Option<ShownNamedReading> {
        let point: &Arc<Point> = catalogue.by_id(row.reading.point)?;
        let filter = &self.filter;
        let takes = *self.matched.entry(point.id).or_insert_with(|| filter.takes(point));
        takes.then(|| json::named_reading(row, point))
    }
}

/// Rows behind a position, and what is missing between them, in order.
#[derive(Debug)]
enum Part {
    Rows(Vec<Row>),
    Missing(Missing),
}

/// Reads what is behind a position; nothing: there is nothing yet. Blocks.
fn parts(log: &Log, position: Seq) -> Result<VecDeque<Part>, LogError> {
    match log.read(position, CHUNK_ROWS) {
        Ok(rows) => {
            let missing = holes::between(log, position, &rows)?;
            Ok(interleaved(rows, missing))
        }
        Err(LogError::Gone { first_available, .. }) => {
            let (first, last) = (position + 1, first_available.saturating_sub(1).max(position + 1));
            Ok(holes::of_span(log, first, last)?.into_iter().map(Part::Missing).collect())
        }
        Err(error) => Err(error),
    }
}

/// Puts what is missing before the row behind it.
fn interleaved(rows: Vec<Row>, missing: Vec<Missing>) -> VecDeque<Part> {
    let (mut parts, mut stretch) = (VecDeque::new(), Vec::new());
    let mut missing = missing.into_iter().peekable();
    for row in rows {
        while let Some(one) = missing.next_if(|one| one.last < row.seq) {
            if !stretch.is_empty() {
                parts.push_back(Part::Rows(std::mem::take(&mut stretch)));
            }
            parts.push_back(Part::Missing(one));
        }
        stretch.push(row);
    }
    if !stretch.is_empty() {
        parts.push_back(Part::Rows(stretch));
    }
    parts
}

enum Read {
    Say(Say),
    /// There were rows, but none that the filter takes.
    NoMatch,
    /// There is nothing behind the cursor.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{Kind, PointInfo, Reading};

    #[test]
    fn events_are_framed_as_clients_read_them() {
        let gap = Say::Gap { reason: "retention", from: Some(3), to: 9 };
        let expected = "event: gap\nid: ab-9\ndata: {\"from\":3,\"reason\":\"retention\",\"to\":9}\n\n";
        assert_eq!(gap.event("ab-9"), expected);
        assert_eq!(Say::Heartbeat.event("ab-9"), ": heartbeat\nid: ab-9\n\n");
        let reading = ShownNamedReading {
            connection: "boiler".into(),
            point: "state".into(),
            seq: 1,
            status: 0,
            status_name: "Good".into(),
            time: "2026-01-31T08:30:00Z".into(),
            value: json!("a\nb"),
        };
        let newline = Say::Readings(vec![reading]);
        assert_eq!(newline.event("ab-1").iter().filter(|byte| **byte == b'\n').count(), 4);
    }

    #[test]
    fn a_filter_takes_what_its_connection_and_one_of_its_patterns_take() {
        let point = |connection: &str, name: &str| Point {
            id: PointId(0),
            connection: connection.into(),
            info: PointInfo::new(name, Kind::Real).into(),
        };
        let selectors = ["boiler/temp_*", "*/state"].map(|text| Selector::parse(text).unwrap()).into();
        let filter = Filter { connection: Some("boiler".into()), selectors };
        assert!(filter.takes(&point("boiler", "temp_a")) && filter.takes(&point("boiler", "state")));
        assert!(!filter.takes(&point("pump", "state")) && !filter.takes(&point("boiler", "flow")));
        assert!(Filter::default().takes(&point("pump", "flow")));
    }

    #[tokio::test]
    async fn a_stream_without_a_match_still_moves_its_clients_position() {
        let dir = tempfile::tempdir().unwrap();
        let log = bulkhead_log::LogConfig::new(dir.path()).open().unwrap();
        let point = log.declare("boiler", &[PointInfo::new("flow", Kind::Integer)]).unwrap()[0];
        let filter = Filter { connection: Some("pump".into()), selectors: Vec::new() };
        let place = Arc::new(tokio::sync::Semaphore::new(1)).acquire_owned().await.unwrap();
        let mut feed = Feed::new(log.clone(), Start::Now, filter, CancellationToken::new(), place);
        feed.heartbeat = Duration::from_millis(1);
        assert!(matches!(feed.next().await, Some(Say::Heartbeat)) && feed.position == 0);
        let status = bulkhead_model::Status::GOOD;
        let reading = Reading { point, time: bulkhead_model::Timestamp(0), status, value: None };
        log.append(vec![reading; 3 * CHUNK_ROWS]).await.unwrap();
        while feed.position < 3 * CHUNK_ROWS as u64 {
            assert!(matches!(feed.next().await, Some(Say::Heartbeat)));
        }
        feed.shutdown.cancel();
        assert!(feed.next().await.is_none());
    }

    /// What a client of a whole stream gets, up to a seq: values' times and gaps.
    async fn told(log: &Log, to: Seq) -> Vec<String> {
        let place = Arc::new(tokio::sync::Semaphore::new(1)).acquire_owned().await.unwrap();
        let start = Start::After(Position { log: None, seq: 0 });
        let mut feed = Feed::new(log.clone(), start, Filter::default(), CancellationToken::new(), place);
        let mut told = Vec::new();
        while feed.position < to {
            told.push(match feed.next().await.unwrap() {
                Say::Readings(readings) => format!("{} readings to {}", readings.len(), feed.position),
                Say::Gap { reason, from, to } => format!("{reason} {from:?} to {to}"),
                Say::Heartbeat => continue,
            });
        }
        told
    }

    #[tokio::test]
    async fn a_hole_is_told_between_the_readings_with_the_reason_that_is_recorded() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let log = bulkhead_log::LogConfig::new(first.path()).open().unwrap();
        let point = log.declare("boiler", &[PointInfo::new("flow", Kind::Integer)]).unwrap()[0];
        let status = bulkhead_model::Status::GOOD;
        let reading = Reading { point, time: bulkhead_model::Timestamp(0), status, value: None };
        log.append(vec![reading.clone(); 5]).await.unwrap();
        // What a kill leaves: the files as they are while the log is open.
        for entry in std::fs::read_dir(first.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), second.path().join(entry.file_name())).unwrap();
        }
        let normal = bulkhead_log::LogConfig {
            durability: bulkhead_log::Durability::Normal,
            retention_max_age_s: Some(60),
            ..bulkhead_log::LogConfig::new(second.path())
        };
        let log = normal.clone().open().unwrap();
        let (from, to) = log.stats().skipped_at_open.expect("numbers are skipped");
        log.append(vec![reading; 2]).await.unwrap();
        let skipped = format!("skipped-at-open Some({from}) to {to}");
        let (last, readings) = (to + 2, |count, to| format!("{count} readings to {to}"));
        assert_eq!(told(&log, last).await, [readings(5, 5), skipped.clone(), readings(2, last)]);
        log.close().await.unwrap();
        let full = || bulkhead_log::LogConfig { durability: bulkhead_log::Durability::Full, ..normal.clone() };
        let log = full().open().unwrap();
        assert_eq!(told(&log, last).await, [readings(5, 5), readings(2, last)], "no acknowledged reading had them");

        log.seal().await.unwrap();
        let in_a_century = bulkhead_model::Timestamp(3_153_600_000_000_000_000 + 1_767_225_600_000_000_000);
        assert!(log.apply_retention(in_a_century).unwrap() > 0);
        let (before, behind) = ("retention Some(1) to 5".to_owned(), format!("retention Some({}) to {last}", to + 1));
        assert_eq!(told(&log, last).await, [before.clone(), behind.clone()]);
        log.close().await.unwrap();
        let log = normal.open().unwrap();
        assert_eq!(told(&log, last).await, [before, skipped, behind]);
    }
}
