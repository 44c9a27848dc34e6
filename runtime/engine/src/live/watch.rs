//! Notices that the config file, or a file that it names, has changed, by looking at them now and then: that works for editors that write into the file,
//! for those that put a new one in its place, for links that are turned to another folder (as Kubernetes does) and for
//! file systems that tell nobody. When to believe what is seen is a pure policy.

use super::LiveConfig;
use bulkhead_sandbox::capability::Clock;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A changed file is read when it has stayed the same for so long: whoever writes it may not be done.
const SETTLE: Duration = Duration::from_millis(400);

/// What tells one version of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// Of the file at a path, if there is one. Blocks.
    pub(crate) fn at(path: &std::path::Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Versions of the files that a config names. One that was not there when it was looked for has none.
pub(crate) type Identities = BTreeMap<PathBuf, Option<Identity>>;

/// The versions of files now. One that is not there, as between the two steps of some editors, says nothing: it is taken to
/// be as it was. Blocks.
pub(crate) fn identities(files: impl IntoIterator<Item = PathBuf>, before: &Identities) -> Identities {
    let now = |file: &PathBuf| Identity::at(file).or_else(|| before.get(file).copied().flatten());
    files.into_iter().map(|file| (now(&file), file)).map(|(identity, file)| (file, identity)).collect()
}

/// What has been seen of a file, or of several taken together.
#[derive(Debug)]
pub(crate) struct FileWatch<T> {
    /// The version that was read.
    known: Option<T>,
    /// Another one, and since when it stays the same.
    other: Option<(T, u64)>,
}

impl<T> Default for FileWatch<T> {
    fn default() -> Self {
        Self { known: None, other: None }
    }
}

impl<T: PartialEq + Clone> FileWatch<T> {
    /// Takes what is there now; none: nothing, as between the two steps of some editors, which says nothing. True: the
    /// file is another one and has settled; it is to be read.
    pub(crate) fn look(&mut self, now: Option<T>, now_ns: u64, settle_ns: u64) -> bool {
        let Some(now) = now else { return false };
        if self.known.as_ref() == Some(&now) {
            self.other = None;
            return false;
        }
        match &self.other {
            Some((other, since_ns)) if *other == now => {
                let has_settled = now_ns.saturating_sub(*since_ns) >= settle_ns;
                if has_settled {
                    self.known = Some(now);
                    self.other = None;
                }
                has_settled
            }
            _ => {
                self.other = Some((now, now_ns));
                false
            }
        }
    }
}

impl LiveConfig {
    /// Looks at the file, and at those that the running config names, until `stop`, and has changes taken up. What is refused
    /// is in the journal.
    pub async fn watch_files(self: Arc<Self>, stop: CancellationToken) {
        let (mut watch, mut named) = (FileWatch::default(), FileWatch::default());
        let mut beat = tokio::time::interval(LOOK_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let settle_ns = u64::try_from(SETTLE.as_nanos()).unwrap_or(u64::MAX);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => {}
            }
            let identity = tokio::fs::metadata(&self.path).await.ok().as_ref().map(Identity::of);
            let is_due = watch.look(identity, self.engine.clock().monotonic_ns(), settle_ns);
            if let Some(settled) = identity.filter(|_| is_due) {
                // What is refused has been told.
                _ = self.reread_settled(settled).await;
                continue;
            }
            let Some((read, now)) = self.named_files_now().await else { continue };
            named.known = Some(read);
            if named.look(Some(now.clone()), self.engine.clock().monotonic_ns(), settle_ns) {
                // As above.
                _ = self.reread_named(now).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(inode: u64) -> Option<Identity> {
        Some(Identity { device: 1, inode, bytes: 10, modified: (1, 0), changed: (1, 0) })
    }

    #[test]
    fn a_change_counts_once_it_has_settled_and_only_once() {
        let mut watch = FileWatch::default();
        let looks = [
            (version(1), 0, false),
            (version(1), 5, true),
            (version(1), 10, false),
            (version(2), 15, false),
            (None, 18, false),
            (version(3), 19, false),
            (version(3), 23, false),
            (version(3), 24, true),
            (version(3), 99, false),
        ];
        for (identity, now_ns, is_news) in looks {
            assert_eq!(watch.look(identity, now_ns, 5), is_news, "at {now_ns}");
        }
    }

    #[test]
    fn a_change_that_is_taken_back_in_time_is_none() {
        let mut watch = FileWatch::default();
        watch.look(version(1), 0, 5);
        assert!(watch.look(version(1), 5, 5));
        watch.look(version(2), 6, 5);
        watch.look(version(1), 7, 5);
        assert!(!watch.look(version(2), 12, 5), "it has to settle anew");
    }

    #[test]
    fn named_files_are_one_version_together_and_one_that_is_gone_for_a_moment_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["points.csv", "token", "absent"].map(|name| dir.path().join(name));
        std::fs::write(&files[0], "a").unwrap();
        std::fs::write(&files[1], "b").unwrap();
        let first = identities(files.clone(), &Identities::new());
        assert_eq!(first[&files[2]], None);
        std::fs::remove_file(&files[1]).unwrap();
        assert_eq!(identities(files.clone(), &first), first);
        std::fs::write(dir.path().join("new"), "c").unwrap();
        std::fs::rename(dir.path().join("new"), &files[1]).unwrap();
        let second = identities(files.clone(), &first);
        assert!(second != first && second[&files[0]] == first[&files[0]]);
        std::fs::write(&files[2], "d").unwrap();
        assert_ne!(identities(files, &second), second);
    }

    #[test]
    fn a_link_turned_to_another_folder_and_a_file_put_in_place_are_other_versions() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let identity = || Identity::of(&std::fs::metadata(path("data/gateway.toml")).unwrap());
        for folder in ["one", "two"] {
            std::fs::create_dir(path(folder)).unwrap();
            std::fs::write(path(folder).join("gateway.toml"), "same length").unwrap();
        }
        std::os::unix::fs::symlink("one", path("data")).unwrap();
        let first = identity();
        std::os::unix::fs::symlink("two", path("data.new")).unwrap();
        std::fs::rename(path("data.new"), path("data")).unwrap();
        let second = identity();
        assert_ne!(first, second);
        std::fs::write(path("two/new"), "same length").unwrap();
        std::fs::rename(path("two/new"), path("two/gateway.toml")).unwrap();
        assert_ne!(identity(), second);
    }
}
