//! Waiting with a bound that says what was missing.

use anyhow::{Result, anyhow};
use std::future::Future;
use std::time::Duration;

/// Longest wait for anything in these tests; generous, because the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// Pause between two looks at something that tells nobody when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The outcome of a future that ends within [`PATIENCE`].
///
/// # Errors
/// Names `what` when it does not.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .map_err(|_| anyhow!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}

/// Looks until `look` finds something. Meanwhile `look` says what it saw instead.
///
/// # Errors
/// Names `what` and the last thing seen instead when [`PATIENCE`] is over, or the failure of a look.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Result<T, String>>) -> Result<T> {
    let mut instead = String::new();
    let found = async {
        let mut beat = tokio::time::interval(LOOK_AGAIN);
        loop {
            beat.tick().await;
            match look().await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(seen)) => instead = seen,
                Err(error) => return Err(error),
            }
        }
    };
    match tokio::time::timeout(PATIENCE, found).await {
        Ok(outcome) => outcome,
        Err(_) => Err(anyhow!("waited {} s in vain for {what}; last seen: {instead}", PATIENCE.as_secs())),
    }
}
