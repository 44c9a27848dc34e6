//! Requests that nobody has proved to have sent, because the proof is in their body (a login, a signed webhook): so many of an
//! address and so many in all may be under way, and their bodies have to come in time. So whoever proves who they are always
//! finds a place, however many slow bodies strangers send.

use crate::limits::{
    UNPROVED_BODY_GRACE, UNPROVED_BODY_MIN_BYTES_PER_S, UNPROVED_OF_ADDRESS_MAX, UNPROVED_REQUESTS_MAX,
};
use crate::places::{AddressPlace, AddressPlaces};
use crate::problem::Problem;
use crate::write::too_large;
use axum::body::Body;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for such requests.
pub(crate) struct UnprovedPlaces {
    all: Arc<Semaphore>,
    addresses: AddressPlaces,
}

impl Default for UnprovedPlaces {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(UNPROVED_REQUESTS_MAX)), addresses: AddressPlaces::default() }
    }
}

/// The place of such a request, among its extensions. It is given back when somebody proves to have sent it, or at its end.
#[derive(Clone)]
pub(crate) struct Unproved(Arc<Mutex<Option<(OwnedSemaphorePermit, AddressPlace)>>>);

impl UnprovedPlaces {
    /// A place for one more request of an address; none: it has as many as it may, or all have.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Unproved> {
        let of_address = self.addresses.take(address, UNPROVED_OF_ADDRESS_MAX)?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Unproved(Arc::new(Mutex::new(Some((of_all, of_address))))))
    }
}

impl Unproved {
    /// Somebody has proved to have sent it.
    pub(crate) fn proved(&self) {
        *self.0.lock() = None;
    }
}

/// How much longer a body may take that has come so far. Pure.
fn left(taken: Duration, bytes: usize) -> Duration {
    let earned_ms = bytes as u64 * 1_000 / UNPROVED_BODY_MIN_BYTES_PER_S;
    (UNPROVED_BODY_GRACE + Duration::from_millis(earned_ms)).saturating_sub(taken)
}

fn too_slow() -> Problem {
    let detail = format!(
        "the body came too slowly: a request that shows nowhere else who sends it has {} s and a second for each \
         {UNPROVED_BODY_MIN_BYTES_PER_S} bytes",
        UNPROVED_BODY_GRACE.as_secs()
    );
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", detail)
}

/// A body of at most `max` bytes, which has to come in time. `now_ns` is a clock that only goes forward.
pub(crate) async fn read_in_time(mut body: Body, max: usize, now_ns: impl Fn() -> u64) -> Result<Bytes, Problem> {
    let begun_ns = now_ns();
    let mut whole = BytesMut::new();
    loop {
        let taken = Duration::from_nanos(now_ns().saturating_sub(begun_ns));
        let left = left(taken, whole.len());
        if left.is_zero() {
            return Err(too_slow());
        }
        let frame = tokio::time::timeout(left, body.frame()).await.map_err(|_| too_slow())?;
        let Some(frame) = frame else { return Ok(whole.freeze()) };
        let frame =
            frame.map_err(|error| Problem::bad_request("bad-body", format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > max {
            return Err(too_large(max));
        }
        whole.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream::unfold;

    #[test]
    fn an_address_and_all_have_their_places_and_a_proof_gives_one_back() {
        let places = UnprovedPlaces::default();
        let address = |n: usize| IpAddr::from([192, 0, 2, u8::try_from(n).unwrap()]);
        let mut held: Vec<_> = (0..UNPROVED_OF_ADDRESS_MAX).map(|_| places.take(address(1)).unwrap()).collect();
        assert!(places.take(address(1)).is_none() && places.take(address(2)).is_some());
        held[0].proved();
        held.push(places.take(address(1)).unwrap());
        assert!(places.take(address(1)).is_none());
        let mut of_others = 0;
        while let Some(place) = places.take(address(2 + of_others / UNPROVED_OF_ADDRESS_MAX as usize)) {
            held.push(place);
            of_others += 1;
        }
        assert_eq!(of_others + UNPROVED_OF_ADDRESS_MAX as usize, UNPROVED_REQUESTS_MAX);
        drop(held);
        assert!(places.take(address(1)).is_some());
    }

    /// A body of so many bytes every so often.
    fn slow(bytes: usize, every: Duration, times: usize) -> Body {
        Body::from_stream(unfold(0, move |n| async move {
            tokio::time::sleep(every).await;
            (n < times).then(|| (Ok::<_, std::io::Error>(vec![b'x'; bytes]), n + 1))
        }))
    }

    #[tokio::test]
    async fn a_body_that_drips_is_given_up_and_one_that_flows_is_taken() {
        // A clock that shows a second more at each look.
        let clock = || {
            let seconds = std::cell::Cell::new(0);
            move || {
                seconds.set(seconds.get() + 1);
                seconds.get() * 1_000_000_000
            }
        };
        let dripping = read_in_time(slow(1, Duration::ZERO, 1_000), 2_000, clock()).await;
        assert_eq!(dripping.unwrap_err().status(), StatusCode::REQUEST_TIMEOUT);
        let flowing = read_in_time(slow(8_192, Duration::ZERO, 60), 1_000_000, clock()).await;
        assert_eq!(flowing.unwrap().len(), 60 * 8_192);
        let long = read_in_time(slow(8_192, Duration::ZERO, 60), 100_000, clock()).await;
        assert_eq!(long.unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(left(Duration::from_secs(4), 0), UNPROVED_BODY_GRACE - Duration::from_secs(4));
        assert_eq!(left(Duration::from_secs(20), 4_096), Duration::ZERO);
        assert_eq!(left(Duration::from_secs(20), 20 * 4_096), UNPROVED_BODY_GRACE);
    }
}
