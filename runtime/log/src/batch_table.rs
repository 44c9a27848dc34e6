//! The virtual table `batch`: the readings of an append, as SQL sees them, on the connection that appends.
//!
//! `INSERT … SELECT … FROM batch` puts a whole append into the open segment as one statement. A statement for each reading
//! would look up its place from the root of the table each time, and bind, begin and end anew: a third of the writer's time.

use crate::batch::Batch;
use crate::row_sum::row_sum;
use crate::state::clamp_seq;
use crate::stored::{to_sql, value_ref};
use parking_lot::Mutex;
use rusqlite::types::Null;
use rusqlite::vtab::{
    Context, Filters, IndexInfo, Module, VTab, VTabConnection, VTabCursor, sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error};
use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::sync::Arc;

const NAME: &CStr = c"batch";
const DECLARATION: &CStr =
    c"CREATE TABLE x(seq INTEGER, point INTEGER, time INTEGER, status INTEGER, value, sum INTEGER)";
/// Puts a batch behind the last row: SQLite gives the seqs, each one above the last, and need not look for their places.
/// A failure leaves the rows before it: whoever appends rolls the transaction back.
const FOLLOW: &str = "INSERT OR FAIL INTO readings(point, time, status, value, sum)
    SELECT point, time, status, value, sum FROM batch";
/// Puts a batch where its seqs say.
const PLACE: &str = "INSERT OR FAIL INTO readings(seq, point, time, status, value, sum)
    SELECT seq, point, time, status, value, sum FROM batch";

/// Where a connection's `batch` finds its readings.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchSlot(Arc<Mutex<Option<Arc<Batch>>>>);

impl BatchSlot {
    /// A slot behind the table `batch` of a connection.
    pub(crate) fn register(connection: &Connection) -> rusqlite::Result<Self> {
        const MODULE: Module<'_, BatchTable> = Module::eponymous_only_module();
        let slot = Self::default();
        connection.create_module(NAME, &MODULE, Some(slot.clone()))?;
        Ok(slot)
    }

    /// Puts a batch into the table `readings` of the connection, which has a transaction open; `follows` when its first
    /// seq is the one behind the table's last.
    pub(crate) fn insert(&self, connection: &Connection, batch: &Arc<Batch>, follows: bool) -> rusqlite::Result<()> {
        if batch.readings.is_empty() {
            return Ok(());
        }
        *self.0.lock() = Some(Arc::clone(batch));
        let sql = if follows { FOLLOW } else { PLACE };
        let inserted = connection.prepare_cached(sql).and_then(|mut insert| insert.execute([]));
        *self.0.lock() = None;
        inserted?;
        let (last, expected) = (connection.last_insert_rowid(), clamp_seq(batch.end() - 1));
        // Nobody else writes to the table, so it cannot be; if it were, readings would have others' seqs.
        if last == expected { Ok(()) } else { Err(Error::ModuleError(format!("seq {last} was given for {expected}"))) }
    }
}

#[repr(C)]
struct BatchTable {
    /// SQLite's part; it must be the first.
    base: sqlite3_vtab,
    slot: BatchSlot,
}

#[expect(unsafe_code, reason = "the trait asks for the layout above: repr(C), SQLite's part first")]
unsafe impl<'vtab> VTab<'vtab> for BatchTable {
    type Aux = BatchSlot;
    type Cursor = BatchCursor;

    fn connect(
        _db: &mut VTabConnection,
        aux: Option<&BatchSlot>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _args: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let slot = aux.cloned().ok_or_else(|| Error::ModuleError("the table has no source".to_owned()))?;
        Ok((Cow::Borrowed(DECLARATION), Self { base: sqlite3_vtab::default(), slot }))
    }

    fn best_index(&self, _info: &mut IndexInfo) -> rusqlite::Result<bool> {
        Ok(true)
    }

    fn open(&'vtab mut self) -> rusqlite::Result<BatchCursor> {
        let batch = self.slot.0.lock().clone();
        let batch = batch.ok_or_else(|| Error::ModuleError("no append is under way".to_owned()))?;
        Ok(BatchCursor { base: sqlite3_vtab_cursor::default(), batch, at: 0 })
    }
}

#[repr(C)]
struct BatchCursor {
    /// SQLite's part; it must be the first.
    base: sqlite3_vtab_cursor,
    batch: Arc<Batch>,
    at: usize,
}

impl BatchCursor {
    fn seq(&self) -> i64 {
        clamp_seq(self.batch.first + self.at as u64)
    }
}

#[expect(unsafe_code, reason = "the trait asks for the layout above: repr(C), SQLite's part first")]
unsafe impl VTabCursor for BatchCursor {
    fn filter(&mut self, _idx_num: c_int, _idx_str: Option<&str>, _args: &Filters<'_>) -> rusqlite::Result<()> {
        self.at = 0;
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.at += 1;
        Ok(())
    }

    fn eof(&self) -> bool {
        self.at >= self.batch.readings.len()
    }

    fn column(&self, ctx: &mut Context, i: c_int) -> rusqlite::Result<()> {
        let Some(reading) = self.batch.readings.get(self.at) else { return ctx.set_result(Null) };
        match i {
            0 => ctx.set_result(self.seq()),
            1 => ctx.set_result(reading.point.0),
            2 => ctx.set_result(reading.time.0),
            3 => ctx.set_result(reading.status.0),
            4 => ctx.set_result(to_sql(reading.value.as_ref())),
            _ => {
                let value = to_sql(reading.value.as_ref());
                let sum = row_sum(self.seq(), reading.point.0, reading.time.0, reading.status.0, value_ref(&value));
                ctx.set_result(sum)
            }
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.seq())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{PointId, Reading, Status, Timestamp, Value};

    fn segment() -> (Connection, BatchSlot) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(crate::segment::READINGS).unwrap();
        let slot = BatchSlot::register(&connection).unwrap();
        (connection, slot)
    }

    fn batch(first: u64, values: &[Option<Value>]) -> Arc<Batch> {
        let reading = |value: &Option<Value>| Reading {
            point: PointId(7),
            time: Timestamp(-5),
            status: Status::GOOD,
            value: value.clone(),
        };
        Arc::new(Batch { first, readings: values.iter().map(reading).collect(), weight: 0 })
    }

    fn rows(connection: &Connection) -> Vec<(i64, rusqlite::types::Value, i32)> {
        let mut select = connection.prepare("SELECT seq, value, sum FROM readings ORDER BY seq").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn batches_stand_under_their_seqs_with_their_sums_whether_they_follow_or_not() {
        let (connection, slot) = segment();
        let values = [Some(Value::Real(1.5)), None, Some(Value::Text("x".to_owned()))];
        slot.insert(&connection, &batch(10, &values), false).unwrap();
        slot.insert(&connection, &batch(13, &[]), true).unwrap();
        slot.insert(&connection, &batch(13, &values), true).unwrap();
        slot.insert(&connection, &batch(30, &values[..1]), false).unwrap();
        let rows = rows(&connection);
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [10, 11, 12, 13, 14, 15, 30]);
        for (seq, value, sum) in &rows {
            assert_eq!(*sum, row_sum(*seq, 7, -5, 0, value.into()));
        }
        assert!(slot.0.lock().is_none(), "the batch is held longer than its insertion");
    }

    #[test]
    fn a_batch_that_does_not_follow_is_refused_and_so_is_a_seq_that_is_taken() {
        let (connection, slot) = segment();
        let values = [Some(Value::Integer(1)), Some(Value::Integer(2))];
        slot.insert(&connection, &batch(10, &values), false).unwrap();
        assert!(slot.insert(&connection, &batch(20, &values), true).is_err());
        assert!(slot.insert(&connection, &batch(11, &values), false).is_err());
        assert!(slot.0.lock().is_none());
    }
}
