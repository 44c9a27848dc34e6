//! The virtual table `readings`: all segments of a log as one table.
//!
//! SQLite is told which bounds on seq, point and time a scan can use (`pushdown`), and gets the rows of that scan. Rows
//! come by rising or falling seq, so an order by seq costs nothing.

use crate::pushdown::{Bound, Column, Comparison, cost, narrow};
use crate::query::{Slot, View};
use crate::scan::{RowFilter, Scan, StoredRow};
use bulkhead_model::{Kind, PointId};
use rusqlite::types::{Null, Value as SqlValue};
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexFlags, IndexInfo, Module, VTab, VTabConnection, VTabCursor, sqlite3_vtab,
    sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error};
use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::sync::Arc;

const NAME: &CStr = c"readings";
const DECLARATION: &CStr = c"CREATE TABLE x(seq INTEGER, point INTEGER, time INTEGER, status INTEGER, value)";
/// The plan's number when rows are wanted by falling seq.
const DESCENDING: c_int = 1;

/// Makes the table known to a connection.
pub(crate) fn register(connection: &Connection, slot: &Slot) -> rusqlite::Result<()> {
    const MODULE: Module<'_, ReadingsTable> = Module::eponymous_only_module();
    connection.create_module(NAME, &MODULE, Some(Arc::clone(slot)))
}

/// Makes an error of the log one that SQLite hands through.
pub(crate) fn through_sqlite(error: crate::LogError) -> Error {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::ModuleError(text)
}

/// What a table sees, while its connection is in use.
pub(crate) fn view(slot: &Slot) -> rusqlite::Result<View> {
    slot.lock().clone().ok_or_else(|| Error::ModuleError("the query has ended".to_owned()))
}

#[repr(C)]
struct ReadingsTable {
    /// SQLite's part; it must be the first.
    base: sqlite3_vtab,
    slot: Slot,
}

#[expect(unsafe_code, reason = "the trait asks for the layout above: repr(C), SQLite's part first")]
unsafe impl<'vtab> VTab<'vtab> for ReadingsTable {
    type Aux = Slot;
    type Cursor = ReadingsCursor;

    fn connect(
        _db: &mut VTabConnection,
        aux: Option<&Slot>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _args: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        let slot = aux.cloned().unwrap_or_default();
        Ok((Cow::Borrowed(DECLARATION), Self { base: sqlite3_vtab::default(), slot }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        let mut bounds = Vec::new();
        for (constraint, mut usage) in info.constraints_and_usages() {
            let bound = bound_of(constraint.column(), &constraint.operator());
            if let Some(bound) = bound.filter(|bound| constraint.is_usable() && bound.is_useful()) {
                bounds.push(bound);
                usage.set_argv_index(c_int::try_from(bounds.len()).unwrap_or(c_int::MAX));
            }
        }
        let by_seq = {
            let mut terms = info.order_bys();
            match (terms.next(), terms.next()) {
                (Some(term), None) if Column::of_number(term.column()) == Some(Column::Seq) => {
                    Some(term.is_order_by_desc())
                }
                _ => None,
            }
        };
        info.set_order_by_consumed(by_seq.is_some());
        info.set_idx_num(if by_seq == Some(true) { DESCENDING } else { 0 });
        info.set_idx_str(&bounds.iter().map(|bound| bound.letter()).collect::<String>());
        if bounds.contains(&Bound { column: Column::Seq, comparison: Comparison::Equal }) {
            info.set_idx_flags(IndexFlags::SQLITE_INDEX_SCAN_UNIQUE);
        }
        let (all_rows, points) =
            view(&self.slot).map_or((0, 0), |view| (view.snapshot.committed, view.snapshot.catalogue.next_id().0));
        let rows = cost(&bounds, all_rows, points);
        info.set_estimated_cost(rows);
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
        info.set_estimated_rows(rows as i64);
        Ok(true)
    }

    fn open(&'vtab mut self) -> rusqlite::Result<ReadingsCursor> {
        let view = view(&self.slot)?;
        Ok(ReadingsCursor { base: sqlite3_vtab_cursor::default(), view, scan: None, row: None })
    }
}

fn bound_of(column: c_int, operator: &IndexConstraintOp) -> Option<Bound> {
    let comparison = match operator {
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => Comparison::Equal,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => Comparison::Above,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => Comparison::From,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => Comparison::Below,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => Comparison::UpTo,
        _ => return None,
    };
    Some(Bound { column: Column::of_number(column)?, comparison })
}

#[repr(C)]
struct ReadingsCursor {
    /// SQLite's part; it must be the first.
    base: sqlite3_vtab_cursor,
    view: View,
    scan: Option<Scan>,
    row: Option<StoredRow>,
}

impl ReadingsCursor {
    /// A real point's blob stands for a number that is none: in SQL that is NULL, which compares with nothing.
    fn is_no_number(&self, row: &StoredRow) -> bool {
        matches!(row.value, SqlValue::Blob(_))
            && self.view.snapshot.catalogue.by_id(PointId(row.point)).is_some_and(|point| point.info.kind == Kind::Real)
    }
}

#[expect(unsafe_code, reason = "the trait asks for the layout above: repr(C), SQLite's part first")]
unsafe impl VTabCursor for ReadingsCursor {
    fn filter(&mut self, idx_num: c_int, idx_str: Option<&str>, args: &Filters<'_>) -> rusqlite::Result<()> {
        let mut filter = RowFilter { descending: idx_num == DESCENDING, ..RowFilter::default() };
        for (bound, value) in idx_str.unwrap_or("").chars().filter_map(Bound::of_letter).zip(args.iter()) {
            narrow(&mut filter, bound, value);
        }
        self.scan = Some(Scan::new(&self.view.snapshot, filter, Arc::clone(&self.view.shared.readers)));
        self.next()
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.row = match &mut self.scan {
            Some(scan) => scan.next().map_err(through_sqlite)?,
            None => None,
        };
        Ok(())
    }

    fn eof(&self) -> bool {
        self.row.is_none()
    }

    fn column(&self, ctx: &mut Context, i: c_int) -> rusqlite::Result<()> {
        let Some(row) = &self.row else { return ctx.set_result(Null) };
        match i {
            0 => ctx.set_result(row.seq),
            1 => ctx.set_result(row.point),
            2 => ctx.set_result(row.time),
            3 => ctx.set_result(row.status),
            _ if self.is_no_number(row) => ctx.set_result(Null),
            _ => ctx.set_result(&row.value),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.row.as_ref().map_or(0, |row| row.seq))
    }
}
