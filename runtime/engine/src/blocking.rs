//! Work that may wait for the disk, done where that holds nobody up.

use bulkhead_log::LogError;

/// Does work off the async threads. None: the runtime ends, or the work panicked.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Runs a call of the log off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    off_thread(work).await.unwrap_or(Err(LogError::Closed))
}
