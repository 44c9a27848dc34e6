//! Users and keys as a running server knows them: it looks whether the file has changed, and goes by the last one that could
//! be read. A file that is damaged or gone lets nobody in who was not let in before, and never lets everybody in.

use super::accounts::Accounts;
use super::store::{AccountStore, Version};
use crate::error::ApiError;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How old the look at the file may be: after this long at most a key that was revoked is good no more.
pub(crate) const LOOK_AFTER: Duration = Duration::from_millis(200);

/// Users and keys of a running server.
pub(crate) struct LiveAccounts {
    pub(crate) store: AccountStore,
    now: RwLock<Arc<Accounts>>,
    version: Mutex<Option<Version>>,
    looked_ns: AtomicU64,
}

impl LiveAccounts {
    /// Reads the file.
    pub(crate) fn open(store: AccountStore) -> Result<Self, ApiError> {
        let version = store.version().unwrap_or_default();
        let accounts = Arc::new(store.read()?);
        Ok(Self { store, now: RwLock::new(accounts), version: Mutex::new(version), looked_ns: AtomicU64::new(0) })
    }

    /// As they were at the last look.
    pub(crate) fn known(&self) -> Arc<Accounts> {
        self.now.read().clone()
    }

    /// As they are, or were a moment ago.
    pub(crate) async fn current(self: &Arc<Self>, now_ns: u64) -> Arc<Accounts> {
        let looked_ns = self.looked_ns.load(Ordering::Relaxed);
        let after_ns = u64::try_from(LOOK_AFTER.as_nanos()).unwrap_or(u64::MAX);
        // While nobody is known every request looks, so that the first user closes the door at once.
        if now_ns.saturating_sub(looked_ns) >= after_ns || self.known().is_empty() {
            self.look(now_ns).await;
        }
        self.known()
    }

    /// As they are now.
    pub(crate) async fn look(self: &Arc<Self>, now_ns: u64) {
        self.looked_ns.store(now_ns, Ordering::Relaxed);
        let this = Arc::clone(self);
        if let Err(error) = tokio::task::spawn_blocking(move || this.refresh()).await {
            tracing::error!("the file of users and keys could not be looked at: {error}");
        }
    }

    fn refresh(&self) {
        let mut known = self.version.lock();
        // What cannot be looked at now is looked at again soon.
        let Ok(version) = self.store.version() else { return };
        if version == *known {
            return;
        }
        *known = version;
        match self.store.read() {
            Ok(accounts) if version.is_some() => *self.now.write() = Arc::new(accounts),
            Ok(_) => tracing::error!(
                "the file of users and keys is gone: those it had are still let in until the next start"
            ),
            Err(error) => tracing::error!("users and keys stay as they were: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_config::{ApiRole, Config};

    #[tokio::test]
    async fn changes_of_others_are_seen_and_damage_lets_nobody_else_in() {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("[gateway]\ndata_dir = {:?}\n", dir.path());
        let config: Config =
            bulkhead_config::parse(&text, &dir.path().join("g.toml"), &bulkhead_config::AnyAdapter).unwrap().config;
        let store = AccountStore::of(&config);
        let live = Arc::new(LiveAccounts::open(store.clone()).unwrap());
        assert!(live.current(1).await.is_empty());
        store.add_user("anna", ApiRole::Admin, "correct horse").unwrap();
        let later_ns = 10_000_000_000;
        assert!(live.current(later_ns).await.user("anna").is_some());
        std::fs::write(config.accounts_file(), "{").unwrap();
        assert!(live.current(2 * later_ns).await.user("anna").is_some());
        std::fs::remove_file(config.accounts_file()).unwrap();
        assert!(live.current(3 * later_ns).await.user("anna").is_some(), "a file that vanished opens no door");
        assert!(LiveAccounts::open(store).unwrap().known().is_empty());
    }
}
