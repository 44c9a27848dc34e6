//! The lines a process writes, kept and waited for.

use crate::wait::within;
use anyhow::{Context, Result};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// Lines kept; the oldest go.
const KEPT_MAX: usize = 5000;
/// Lines shown when something went wrong.
const SHOWN_LAST: usize = 30;

/// What a process has written, line by line. Clones share it.
#[derive(Debug, Clone)]
pub struct Lines {
    kept: Arc<Mutex<VecDeque<String>>>,
    count: watch::Receiver<u64>,
}

impl Lines {
    /// Reads a stream to its end, beside the caller. Must be called inside a tokio runtime.
    #[must_use]
    pub fn capture(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        Self::capture_with(stream, |_| {})
    }

    /// The same, and shows each line to `note`, those included that are too many to be kept.
    #[must_use]
    pub fn capture_with(
        stream: impl AsyncRead + Unpin + Send + 'static,
        mut note: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (counter, count) = watch::channel(0);
        let lines = Self { kept: kept.clone(), count };
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                note(&line);
                let mut kept = kept.lock();
                if kept.len() == KEPT_MAX {
                    kept.pop_front();
                }
                kept.push_back(line);
                counter.send_modify(|count| *count += 1);
            }
        });
        lines
    }

    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.kept.lock().iter().cloned().collect()
    }

    /// The last lines as one text, for messages about failures.
    #[must_use]
    pub fn last(&self) -> String {
        let kept = self.kept.lock();
        kept.iter().skip(kept.len().saturating_sub(SHOWN_LAST)).map(|line| format!("\n    {line}")).collect()
    }

    /// Waits until the stream has been read to its end.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&self) -> Result<()> {
        let mut count = self.count.clone();
        within("a process's last line", async { while count.changed().await.is_ok() {} }).await
    }

    /// The first line, past or to come, in which `find` finds something.
    ///
    /// # Errors
    /// When no such line comes, or the stream ends before.
    pub async fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let mut count = self.count.clone();
        let found = async {
            loop {
                count.borrow_and_update();
                if let Some(found) = self.kept.lock().iter().find_map(|line| find(line)) {
                    return Some(found);
                }
                if count.changed().await.is_err() {
                    // The stream has ended; what it brought last may not have been looked at.
                    return self.kept.lock().iter().find_map(|line| find(line));
                }
            }
        };
        let outcome = within(what, found).await.with_context(|| format!("its lines:{}", self.last()))?;
        outcome.with_context(|| format!("the process ended without {what}; its lines:{}", self.last()))
    }

    /// A line that contains every one of these texts.
    ///
    /// # Errors
    /// As [`Lines::wait_for`].
    pub async fn wait_for_texts(&self, texts: &[&str]) -> Result<String> {
        let what = format!("a line with {texts:?}");
        self.wait_for(&what, |line| texts.iter().all(|text| line.contains(text)).then(|| line.to_owned())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_found_whenever_it_comes_and_its_absence_is_told() {
        let lines = Lines::capture(&b"one\ntwo\nlast"[..]);
        assert_eq!(lines.wait_for_texts(&["t", "w"]).await.unwrap(), "two");
        assert_eq!(lines.wait_for_texts(&["last"]).await.unwrap(), "last");
        let error = lines.wait_for_texts(&["three"]).await.unwrap_err().to_string();
        assert!(error.contains("three") && error.contains("two"), "{error}");
    }
}
