//! Calls of the log that may wait for the disk, made where that holds nobody up.

use bulkhead_log::LogError;

/// Runs a call of the log off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LogError::Closed))
}
