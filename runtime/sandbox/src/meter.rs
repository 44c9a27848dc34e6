//! How long a guest computes, and the one place of the crate that looks at the machine's clock for it.
//!
//! A call of a guest is a future. While it is polled, the guest computes, or the host works on its behalf; between polls it waits
//! for a host call or for its turn, which is not counted. The [`Meter`] is asked at each tick whether the guest has used up its time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Adds up the time that one instance computes.
#[derive(Debug)]
pub(crate) struct Meter {
    origin: Instant,
    /// When the poll that goes on began, nanoseconds since `origin` and one; 0: none goes on.
    began_ns: AtomicU64,
    /// What the polls before it took.
    spent_ns: AtomicU64,
}

impl Meter {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { origin: Instant::now(), began_ns: AtomicU64::new(0), spent_ns: AtomicU64::new(0) })
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }

    /// Begins a call: nothing is spent yet.
    pub(crate) fn reset(&self) {
        self.spent_ns.store(0, Ordering::Relaxed);
    }

    fn resume(&self) {
        self.began_ns.store(self.now_ns() + 1, Ordering::Relaxed);
    }

    fn pause(&self) {
        let began = self.began_ns.swap(0, Ordering::Relaxed);
        if began > 0 {
            self.spent_ns.fetch_add((self.now_ns() + 1).saturating_sub(began), Ordering::Relaxed);
        }
    }

    /// What the call has spent so far, the poll that goes on included.
    pub(crate) fn spent(&self) -> Duration {
        let began = self.began_ns.load(Ordering::Relaxed);
        let running = if began == 0 { 0 } else { (self.now_ns() + 1).saturating_sub(began) };
        Duration::from_nanos(self.spent_ns.load(Ordering::Relaxed) + running)
    }

    /// Has a future's polls counted.
    pub(crate) fn count<F: Future>(self: &Arc<Self>, future: F) -> Counted<F> {
        Counted { meter: self.clone(), future: Box::pin(future) }
    }
}

/// A future whose polls are counted.
pub(crate) struct Counted<F> {
    meter: Arc<Meter>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.meter.resume();
        let outcome = self.future.as_mut().poll(context);
        self.meter.pause();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_is_not_counted_and_computing_is() {
        let meter = Meter::new();
        meter.count(tokio::time::sleep(Duration::from_millis(60))).await;
        assert!(meter.spent() < Duration::from_millis(50), "{:?}", meter.spent());
        let busy = async {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(30) {
                std::hint::spin_loop();
            }
            tokio::task::yield_now().await;
        };
        meter.count(busy).await;
        assert!(meter.spent() >= Duration::from_millis(20), "{:?}", meter.spent());
        meter.reset();
        assert_eq!(meter.spent(), Duration::ZERO);
    }
}
