//! Mending `state.db` while the log is open: when SQLite says that it is damaged and a look confirms it, it is rebuilt as at
//! an opening, with what memory knows in addition. The write that met the damage fails; the next one finds a whole file.

use crate::damage::sqlite_says_damage;
use crate::files::{FileOps, SegmentFile, io_error};
use crate::rebuild::{self, Known, Source};
use crate::sqlite::{open_state, sqlite_error};
use crate::state_sum::damage_in;
use crate::{LogError, Point};
use bulkhead_model::Seq;
use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the process knows of `state.db` by heart.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) log_id: String,
    pub(crate) reserved_to: Seq,
    pub(crate) dropped_to: Seq,
    /// By number, each with its place in the order of declaring: the last of a name is the one the name stands for.
    pub(crate) points: HashMap<u32, (usize, Arc<Point>)>,
    pub(crate) declared: usize,
}

impl Memory {
    /// Notes a point as the one its name stands for.
    pub(crate) fn declare(&mut self, point: &Arc<Point>) {
        self.declared += 1;
        self.points.insert(point.id.0, (self.declared, Arc::clone(point)));
    }

    /// All points in the order of declaring.
    fn points(&self) -> Vec<Arc<Point>> {
        let mut points: Vec<_> = self.points.values().collect();
        points.sort_by_key(|(order, _)| *order);
        points.into_iter().map(|(_, point)| Arc::clone(point)).collect()
    }
}

/// What mends a `state.db`.
#[derive(Debug)]
pub(crate) struct Mender {
    pub(crate) path: PathBuf,
    pub(crate) files: Arc<dyn FileOps>,
    pub(crate) memory: Arc<Mutex<Memory>>,
}

impl Mender {
    /// Rebuilds the database behind a connection if it is damaged, and connects anew.
    pub(crate) fn mend(&self, connection: &mut Option<Connection>) -> Result<(), LogError> {
        let Some(why) = confirm(&self.path, connection.as_ref()) else { return Ok(()) };
        let wrong = sqlite_error("mend", &self.path);
        // Nobody may have the damaged file open while it is replaced, and it is to be set aside as it is.
        if let Some(open) = connection.take() {
            open.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(&wrong)?;
        }
        let known = {
            let memory = self.memory.lock();
            Known {
                log_id: Some(memory.log_id.clone()),
                reserved_to: memory.reserved_to,
                dropped_to: memory.dropped_to,
                points: memory.points(),
            }
        };
        let rebuilt = self.sources().and_then(|sources| {
            rebuild::rebuild(&*self.files, &self.path, &sources, known.log_id.as_deref().unwrap_or(""), &known)
        });
        *connection = Some(open_state(&self.path).map_err(&wrong)?);
        rebuild::tell(&self.path, &why, &rebuilt?);
        Ok(())
    }

    fn sources(&self) -> Result<Vec<Source>, LogError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let entries = self.files.list(dir).map_err(io_error("list", dir))?;
        // The open segments are in use; memory knows their points.
        let sealed = entries.iter().filter_map(|entry| {
            SegmentFile::parse(&entry.name)
                .filter(|file| matches!(file, SegmentFile::Sealed { .. }))
                .map(|file| (file, dir.join(&entry.name)))
        });
        Ok(sealed.collect())
    }
}

/// What is wrong with a database; none: nothing, so the error that led here was another's fault.
fn confirm(path: &Path, connection: Option<&Connection>) -> Option<String> {
    let found = match connection {
        Some(connection) => damage_in(connection),
        None => open_state(path).and_then(|connection| {
            // It may have to be set aside as it is.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            damage_in(&connection)
        }),
    };
    match found {
        Ok(found) => found,
        Err(error) if sqlite_says_damage(&error) => Some(error.to_string()),
        // The medium fails or is full: another matter.
        Err(_) => None,
    }
}
