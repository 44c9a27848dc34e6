//! The virtual tables `points` and `latest_readings`: what the log keeps in memory, as SQL sees it.

use crate::query::{Slot, View};
use crate::readings_table::view;
use crate::stored::to_sql;
use crate::{Point, Row};
use bulkhead_model::{PointId, Value};
use rusqlite::types::Null;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConnection, VTabCursor, sqlite3_vtab,
    sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error};
use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::sync::Arc;

const POINTS: &CStr = c"points";
const POINTS_DECLARATION: &CStr = c"CREATE TABLE x(id INTEGER, connection TEXT, name TEXT, kind TEXT, unit TEXT,
  description TEXT, writable INTEGER, current INTEGER)";
const LATEST: &CStr = c"latest_readings";
const LATEST_DECLARATION: &CStr = c"CREATE TABLE x(seq INTEGER, point INTEGER, time INTEGER, status INTEGER, value)";
/// The plan's number when one point is asked for.
const ONE_POINT: c_int = 1;
/// Makes the tables known to a connection.
pub(crate) fn register(connection: &Connection, slot: &Slot) -> rusqlite::Result<()> {
    const MODULE: Module<'_, MemoryTable> = Module::eponymous_only_module();
    connection.create_module(POINTS, &MODULE, Some((Which::Points, Arc::clone(slot))))?;
    connection.create_module(LATEST, &MODULE, Some((Which::Latest, Arc::clone(slot))))
}

/// Which of the two tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Points,
    Latest,
}

impl Which {
    fn declaration(self) -> &'static CStr {
        match self {
            Self::Points => POINTS_DECLARATION,
            Self::Latest => LATEST_DECLARATION,
        }
    }

    /// The column with the point's number.
    fn key_column(self) -> c_int {
        match self {
            Self::Points => 0,
            Self::Latest => 1,
        }
    }
}

/// Which part of all points is left when a column of theirs has one value. A guess.
fn equal_rows_divisor(column: c_int) -> u32 {
    match column {
        // connection
        1 => 10,
        // name
        2 => 1000,
        _ => 2,
    }
}

#[repr(C)]
struct MemoryTable {
    /// SQLite's part; it must be the first.
    base: sqlite3_vtab,
    which: Which,
    slot: Slot,
}

#[expect(unsafe_code, reason = "the trait asks for the layout above: repr(C), SQLite's part first")]
unsafe impl<'vtab> VTab<'vtab> for MemoryTable {
    type Aux = (Which, Slot);
    type Cursor = MemoryCursor;

    fn connect(
        _db: &mut VTabConnection,
        aux: Option<&(Which, Slot)>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _args: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let (which, slot) = aux.cloned().ok_or_else(|| Error::ModuleError("the table has no source".to_owned()))?;
        Ok((Cow::Borrowed(which.declaration()), Self { base: sqlite3_vtab::default(), which, slot }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        let all = view(&self.slot).map_or(0, |view| view.snapshot.catalogue.next_id().0).max(1);
        let (mut one, mut rows) = (false, all);
        for (constraint, mut usage) in info.constraints_and_usages() {
            if !constraint.is_usable() || constraint.operator() != IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ {
                continue;
            }
            if constraint.column() == self.which.key_column() {
                if !one {
                    usage.set_argv_index(1);
                }
                one = true;
            } else if self.which == Which::Points {
                // SQLite checks it, but must know that little is left: a join then begins here.
                rows = rows.min(all / equal_rows_divisor(constraint.column()) + 1);
            }
        }
        info.set_idx_num(if one { ONE_POINT } else { 0 });
        info.set_estimated_cost(f64::from(if one { 1 } else { all }));
        info.set_estimated_rows(i64::from(if one { 1 } else { rows }));
        Ok(true)
    }

    fn open(&'vtab mut self) -> rusqlite::Result<MemoryCursor> {
        let (base, view) = (sqlite3_vtab_cursor::default(), view(&self.slot)?);
        Ok(MemoryCursor { base, which: self.which, view, rows: Rows::Points(Vec::new()), at: 0 })
    }
}

/// The rows of a cursor.
enum Rows {
    Points(Vec<Arc<Point>>),
    Latest(Vec<Row>),
}

#[repr(C)]
struct MemoryCursor {
    /// SQLite's part; it must be the first.
    base: sqlite3_vtab_cursor,
    which: Which,
    view: View,
    rows: Rows,
    at: usize,
}

impl MemoryCursor {
    /// The rows of one point, or of all.
    fn find(&self, key: Option<Option<PointId>>) -> Rows {
        let catalogue = &self.view.snapshot.catalogue;
        match (self.which, key) {
            (Which::Points, None) => Rows::Points(catalogue.iter().cloned().collect()),
            (Which::Points, Some(id)) => {
                Rows::Points(id.and_then(|id| catalogue.by_id(id)).cloned().into_iter().collect())
            }
            (Which::Latest, None) => Rows::Latest(self.view.shared.latest_all()),
            (Which::Latest, Some(id)) => {
                let id = id.filter(|id| catalogue.is_current(*id));
                Rows::Latest(id.and_then(|id| self.view.shared.latest(id)).into_iter().collect())
            }
        }
    }

    fn point_column(&self, ctx: &mut Context, point: &Point, column: c_int) -> rusqlite::Result<()> {
        match column {
            0 => ctx.set_result(point.id.0),
            1 => ctx.set_result(&*point.connection),
            2 => ctx.set_result(point.info.name.as_str()),
            3 => ctx.set_result(point.info.kind.name()),
            4 => ctx.set_result(&point.info.unit),
            5 => ctx.set_result(&point.info.description),
            6 => ctx.set_result(point.info.write.is_some()),
            _ => ctx.set_result(self.view.snapshot.catalogue.is_current(point.id)),
        }
    }
}

fn reading_column(ctx: &mut Context, row: &Row, column: c_int) -> rusqlite::Result<()> {
    match column {
        0 => ctx.set_result(crate::state::clamp_seq(row.seq)),
        1 => ctx.set_result(row.reading.point.0),
        2 => ctx.set_result(row.reading.time.0),
        3 => ctx.set_result(row.reading.status.0),
        _ => match &row.reading.value {
            Some(Value::Real(number)) if number.is_nan() => ctx.set_result(Null),
            value => ctx.set_result(to_sql(value.as_ref())),
        },
    }
}

#[expect(unsafe_code, reason = "the trait asks for the layout above: repr(C), SQLite's part first")]
unsafe impl VTabCursor for MemoryCursor {
    fn filter(&mut self, idx_num: c_int, _idx_str: Option<&str>, args: &Filters<'_>) -> rusqlite::Result<()> {
        let number = args.iter().next().map(|value| match value {
            rusqlite::types::ValueRef::Real(number) if number.fract() == 0.0 =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "the cast saturates; SQLite checks the row again")]
                u32::try_from(number as i64).ok()
            }
            value => value.as_i64().ok().and_then(|number| u32::try_from(number).ok()),
        });
        let key = number.filter(|_| idx_num == ONE_POINT).map(|number| number.map(PointId));
        self.rows = self.find(key);
        self.at = 0;
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.at += 1;
        Ok(())
    }

    fn eof(&self) -> bool {
        let rows = match &self.rows {
            Rows::Points(points) => points.len(),
            Rows::Latest(rows) => rows.len(),
        };
        self.at >= rows
    }

    fn column(&self, ctx: &mut Context, i: c_int) -> rusqlite::Result<()> {
        match &self.rows {
            Rows::Points(points) => match points.get(self.at) {
                Some(point) => self.point_column(ctx, point, i),
                None => ctx.set_result(Null),
            },
            Rows::Latest(rows) => match rows.get(self.at) {
                Some(row) => reading_column(ctx, row, i),
                None => ctx.set_result(Null),
            },
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(i64::try_from(self.at).unwrap_or(i64::MAX))
    }
}
