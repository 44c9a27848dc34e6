//! The reserve: a file that takes room on the disk until there is none left. Removing it lets `state.db` commit on a full
//! disk, so that cursors move and segments can be dropped; it is made again when there is room.

use crate::FileOps;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Its name in the log's folder.
pub(crate) const RESERVE_NAME: &str = "reserve";

/// The reserve of a log.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    files: Arc<dyn FileOps>,
}

impl Reserve {
    pub(crate) fn new(dir: &Path, bytes: u64, files: Arc<dyn FileOps>) -> Self {
        Self { path: dir.join(RESERVE_NAME), bytes, files }
    }

    /// How large it is when it is there.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives its room back to the disk. False: there was none to give.
    pub(crate) fn release(&self) -> bool {
        match self.files.remove(&self.path) {
            Ok(()) => {
                tracing::warn!(bytes = self.bytes, "the disk is full: the log has given up its reserve to go on");
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the reserve cannot be given up");
                false
            }
        }
    }

    /// Makes it, or leaves nothing behind.
    pub(crate) fn make(&self) -> io::Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.files.allocate(&self.path, self.bytes).inspect_err(|_| {
            // Half a reserve would only be in the way; where it cannot be removed either, the next try replaces it.
            let _ = self.files.remove(&self.path);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemFiles;

    #[test]
    fn it_takes_its_room_once_and_gives_it_back_once() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(dir.path(), 100_000, Arc::new(SystemFiles));
        assert!(!reserve.release());
        reserve.make().unwrap();
        reserve.make().unwrap();
        let path = dir.path().join(RESERVE_NAME);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 100_000);
        assert!(reserve.release());
        assert!(!path.exists() && !reserve.release());
        Reserve::new(dir.path(), 0, Arc::new(SystemFiles)).make().unwrap();
        assert!(!path.exists(), "no reserve is asked for");
    }
}
