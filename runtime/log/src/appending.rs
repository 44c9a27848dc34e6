//! The segment that is appended to: its transaction, its checkpoints, and what is verified of it when its medium fails.

use crate::batch::Batch;
use crate::batch_table::BatchSlot;
use crate::config::CHECKPOINT_PAGES;
use crate::files::{io_error, remove_database};
use crate::sealer::Closed;
use crate::segment::{self, Knowledge, Live, PUT, Segment, key};
use crate::shared::Shared;
use crate::sqlite::{set, sqlite_error};
use crate::state::loaded_seq;
use crate::{Durability, LogError, Point, clock};
use bulkhead_model::{Seq, Timestamp};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::sync::Arc;

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Appending {
    pub(crate) connection: Connection,
    slot: BatchSlot,
    /// The seq behind its last row, where that is known.
    next: Option<Seq>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) rows: u64,
    pub(crate) first_commit: Option<Timestamp>,
}

/// Starts a segment that may hold seqs from `start` on.
pub(crate) fn start_segment(shared: &Shared, start: Seq) -> Result<Appending, LogError> {
    let dir = &shared.config.dir;
    let segment = Segment::live(dir, start, Live::default(), Arc::clone(&shared.files)).ok_or(LogError::Closed)?;
    let full = shared.config.durability == Durability::Full;
    // A try before this one may have left its half behind.
    remove_database(&*shared.files, &segment.path)?;
    let made = segment::create(&segment.path, full, shared.id.as_str(), start).and_then(|connection| {
        shared.files.sync_file(&segment.path).map_err(io_error("sync", &segment.path))?;
        shared.files.sync_dir(dir).map_err(io_error("sync", dir))?;
        Appending::resume(connection, Arc::clone(&segment), 0, None)
    });
    if made.is_err() {
        // Where it stays, the next open removes it: it has no rows.
        let _ = remove_database(&*shared.files, &segment.path);
    }
    made
}

impl Appending {
    /// Goes on with a segment through a connection that may write.
    pub(crate) fn resume(
        connection: Connection,
        segment: Arc<Segment>,
        rows: u64,
        first_commit: Option<Timestamp>,
    ) -> Result<Self, LogError> {
        let slot = BatchSlot::register(&connection).map_err(sqlite_error("append to", &segment.path))?;
        Ok(Self { connection, slot, next: None, segment, rows, first_commit })
    }

    /// Begins a transaction.
    pub(crate) fn begin(&self) -> Result<(), LogError> {
        self.run_sql("begin a commit in", "BEGIN IMMEDIATE")
    }

    /// Puts a batch into the transaction.
    pub(crate) fn insert(&mut self, batch: &Arc<Batch>) -> Result<(), LogError> {
        let follows = self.next == Some(batch.first);
        self.next = None;
        self.slot.insert(&self.connection, batch, follows).map_err(sqlite_error("append to", &self.segment.path))?;
        self.next = (!batch.readings.is_empty()).then(|| batch.end());
        Ok(())
    }

    /// Describes a point in it.
    pub(crate) fn describe(&self, point: &Point) -> Result<(), LogError> {
        segment::describe(&self.connection, point).map_err(sqlite_error("append to", &self.segment.path))
    }

    /// Commits the transaction at a moment.
    pub(crate) fn commit(&mut self, now: Timestamp) -> Result<(), LogError> {
        if self.first_commit.is_none() {
            self.connection
                .execute(PUT, (key::FIRST_COMMIT, now.0))
                .map_err(sqlite_error("append to", &self.segment.path))?;
        }
        self.run_sql("commit to", "COMMIT")?;
        self.first_commit.get_or_insert(now);
        Ok(())
    }

    /// Undoes the transaction, if there is one.
    pub(crate) fn roll_back(&mut self) -> Result<(), LogError> {
        self.next = None;
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.run_sql("roll back a commit in", "ROLLBACK")
    }

    /// Moves the WAL into the segment when it has become long. SQLite would do it by itself, but pass over its failure.
    pub(crate) fn checkpoint_if_due(&self) -> Result<(), LogError> {
        let wrong = sqlite_error("checkpoint", &self.segment.path);
        let pages: i64 = self
            .connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
            .and_then(|mut look| look.query_row([], |row| row.get(1)))
            .map_err(&wrong)?;
        if pages < CHECKPOINT_PAGES {
            return Ok(());
        }
        set(&self.connection, "wal_checkpoint(PASSIVE)").map_err(wrong)
    }

    /// Moves all of the WAL into the segment and cuts it.
    pub(crate) fn finish(&self) -> Result<(), LogError> {
        set(&self.connection, "wal_checkpoint(TRUNCATE)").map_err(sqlite_error("checkpoint", &self.segment.path))
    }

    /// Looks whether everything that was committed can be read through a new connection. Returns how many rows cannot.
    pub(crate) fn verify(&self, log_id: &str) -> Result<u64, LogError> {
        let connection = self.segment.connect()?;
        segment::check(&connection, &self.segment.path, log_id)?;
        let rows: i64 = connection
            .query_row("SELECT count(*) FROM readings WHERE status IS NOT NULL", [], |row| row.get(0))
            .map_err(sqlite_error("verify", &self.segment.path))?;
        Ok(self.rows.saturating_sub(loaded_seq(rows)))
    }

    /// Ends appending. Nothing is written to it any more, not even at the closing of its connection, which stays open until
    /// it is sealed, so that what a failed commit may have left in the WAL is not taken for committed.
    pub(crate) fn close(self) -> Closed {
        let last_commit = match &self.segment.knowledge {
            Knowledge::Live(live) => live.lock().last_commit,
            _ => clock::now(),
        };
        Closed { segment: self.segment, connection: Some(self.connection), last_commit }
    }

    /// From now on nothing is written to it, not even when its connection is closed.
    pub(crate) fn forsake(&self) {
        // Without the setting the closing would only try a checkpoint in vain.
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }

    fn run_sql(&self, action: &'static str, sql: &str) -> Result<(), LogError> {
        let run = || self.connection.prepare_cached(sql)?.execute([]).map(drop);
        run().map_err(sqlite_error(action, &self.segment.path))
    }
}
