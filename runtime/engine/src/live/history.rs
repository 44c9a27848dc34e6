//! The configs that were applied, newest last, in the data folder: what a rollback goes back to. Each is a file named by its
//! number; numbers are not used again. They can hold secrets and are readable by their owner alone.

use super::file;
use std::io;
use std::path::{Path, PathBuf};

/// Configs that are kept, the running one included.
pub(crate) const HISTORY_MAX: usize = 10;
/// The folder of the kept configs, in the data folder.
const FOLDER: &str = "config";
/// The file there that holds what the last rollback took away.
const UNDONE: &str = "undone.toml";

/// The kept configs of one data folder.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

/// A config that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptConfig {
    /// Its number; a newer one has a higher one.
    pub number: u64,
    /// The file.
    pub path: PathBuf,
}

impl History {
    /// The history in a data folder. Touches nothing yet.
    #[must_use]
    pub fn in_data_dir(data_dir: &Path) -> Self {
        Self { folder: data_dir.join(FOLDER) }
    }

    /// Where a rollback keeps what the file held before it.
    #[must_use]
    pub fn undone_path(&self) -> PathBuf {
        self.folder.join(UNDONE)
    }

    /// What is kept, the newest first.
    ///
    /// # Errors
    /// What reading the folder met; that there is none is not an error.
    pub fn kept(&self) -> io::Result<Vec<KeptConfig>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut kept = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let stem =
                path.file_stem().and_then(|stem| stem.to_str()).filter(|_| path.extension() == Some("toml".as_ref()));
            kept.extend(
                stem.and_then(|stem| stem.parse().ok()).map(|number| KeptConfig { number, path: path.clone() }),
            );
        }
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.number));
        Ok(kept)
    }

    /// Keeps a config that was applied, unless it is the newest already, and lets the oldest go. Returns its number.
    ///
    /// # Errors
    /// What reading or writing met.
    pub fn keep(&self, text: &str) -> io::Result<u64> {
        let kept = self.kept()?;
        if let Some(newest) = kept.first()
            && std::fs::read_to_string(&newest.path).is_ok_and(|newest| newest == text)
        {
            return Ok(newest.number);
        }
        self.add(text, &kept)
    }

    fn add(&self, text: &str, kept: &[KeptConfig]) -> io::Result<u64> {
        let number = kept.first().map_or(1, |newest| newest.number + 1);
        std::fs::create_dir_all(&self.folder)?;
        file::replace(&self.folder.join(format!("{number:08}.toml")), text)?;
        for old in kept.iter().skip(HISTORY_MAX - 1) {
            std::fs::remove_file(&old.path)?;
        }
        Ok(number)
    }

    /// The newest config that is another than this text: where a rollback leads to.
    ///
    /// # Errors
    /// What reading met.
    pub fn before(&self, text: Option<&str>) -> io::Result<Option<(KeptConfig, String)>> {
        for kept in self.kept()? {
            let kept_text = std::fs::read_to_string(&kept.path)?;
            if Some(kept_text.as_str()) != text {
                return Ok(Some((kept, kept_text)));
            }
        }
        Ok(None)
    }

    /// Notes that the config of this number, whose text is `text`, is the newest again: it gets a new number, and those from
    /// its old one on go. What the rollback took away is kept beside them. Returns the new number.
    ///
    /// # Errors
    /// What reading or writing met.
    pub fn went_back_to(&self, number: u64, text: &str, undone: Option<&str>) -> io::Result<u64> {
        if let Some(undone) = undone {
            file::replace(&self.undone_path(), undone)?;
        }
        let kept = self.kept()?;
        let new = self.add(text, &kept)?;
        for later in kept.iter().filter(|kept| kept.number >= number && kept.path.exists()) {
            std::fs::remove_file(&later.path)?;
        }
        Ok(new)
    }

    /// A rollback while no gateway runs: writes the newest config that is another than the one in `path` there. Returns it;
    /// none: there is none.
    ///
    /// # Errors
    /// What reading or writing met.
    pub fn roll_back_file(&self, path: &Path) -> io::Result<Option<KeptConfig>> {
        let held = std::fs::read_to_string(path).ok();
        let Some((kept, text)) = self.before(held.as_deref())? else { return Ok(None) };
        file::replace(path, &text)?;
        self.went_back_to(kept.number, &text, held.as_deref())?;
        Ok(Some(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(history: &History) -> Vec<String> {
        history.kept().unwrap().iter().map(|kept| std::fs::read_to_string(&kept.path).unwrap()).collect()
    }

    #[test]
    fn the_newest_are_kept_under_numbers_that_go_up() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::in_data_dir(dir.path());
        assert_eq!(history.before(None).unwrap(), None);
        for number in 1..=15 {
            assert_eq!(history.keep(&format!("c{number}")).unwrap(), number);
        }
        assert_eq!(history.keep("c15").unwrap(), 15, "the newest is not kept twice");
        assert_eq!((texts(&history).len(), &*texts(&history)[9]), (HISTORY_MAX, "c6"));
    }

    #[test]
    fn going_back_again_and_again_goes_further_back() {
        let dir = tempfile::tempdir().unwrap();
        let (history, path) = (History::in_data_dir(dir.path()), dir.path().join("gateway.toml"));
        for text in ["a", "b", "c"] {
            history.keep(text).unwrap();
        }
        std::fs::write(&path, "junk that never ran").unwrap();
        let mut file_after = Vec::new();
        while let Some(kept) = history.roll_back_file(&path).unwrap() {
            file_after.push((kept.number, std::fs::read_to_string(&path).unwrap()));
        }
        let text = |text: &str| text.to_owned();
        // The second step leads to 2, which the first has left where it was; the third to 1.
        assert_eq!(file_after, [(3, text("c")), (2, text("b")), (1, text("a"))]);
        assert_eq!(std::fs::read_to_string(history.undone_path()).unwrap(), "b");
        assert_eq!(texts(&history), ["a"]);
        assert_eq!(history.keep("d").unwrap(), 7, "no number is used again");
    }
}
