//! How many requests one client may make: a bucket that fills with time, for each address and each credential.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Clients remembered; beyond it the one that asked longest ago is forgotten.
pub(crate) const CLIENTS_REMEMBERED_MAX: usize = 4_096;
/// A bucket holds this many seconds of requests.
const BURST_S: f64 = 2.0;

/// What of an address counts as one client: an IPv6 network of 64 bits is one, since whoever has an address there has all.
pub(crate) fn address_of(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) if ip.is_loopback() => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    left: f64,
    at_ns: u64,
}

impl Bucket {
    /// Takes one; if there is none, how long until there is.
    fn take(&mut self, now_ns: u64, per_s: u32) -> Result<(), Duration> {
        let rate = f64::from(per_s);
        let passed_s = Duration::from_nanos(now_ns.saturating_sub(self.at_ns)).as_secs_f64();
        self.left = (self.left + passed_s * rate).min(rate * BURST_S);
        self.at_ns = now_ns;
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / rate));
        }
        self.left -= 1.0;
        Ok(())
    }
}

/// What each client has left.
#[derive(Default)]
pub(crate) struct Rates(Mutex<HashMap<String, Bucket>>);

impl Rates {
    /// Takes one request of a client; if it has none left, how long until it has.
    pub(crate) fn take(&self, client: &str, now_ns: u64, per_s: u32) -> Result<(), Duration> {
        let mut all = self.0.lock();
        if let Some(bucket) = all.get_mut(client) {
            return bucket.take(now_ns, per_s);
        }
        if all.len() >= CLIENTS_REMEMBERED_MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, bucket)| bucket.at_ns).map(|(client, _)| client.clone())
        {
            all.remove(&oldest);
        }
        let mut bucket = Bucket { left: f64::from(per_s) * BURST_S, at_ns: now_ns };
        let taken = bucket.take(now_ns, per_s);
        all.insert(client.to_owned(), bucket);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let rates = Rates::default();
        assert!((0..20).all(|_| rates.take("a", 0, 10).is_ok()));
        assert_eq!(rates.take("a", 0, 10), Err(Duration::from_millis(100)));
        assert!(rates.take("b", 0, 10).is_ok(), "another client has its own");
        assert!(rates.take("a", 100_000_000, 10).is_ok());
        assert!(rates.take("a", 100_000_000, 10).is_err());
    }

    #[test]
    fn over_any_time_no_more_than_rate_and_burst_get_through() {
        let rates = Rates::default();
        let taken = (0..10_000_u64).filter(|n| rates.take("a", n * 1_000_000, 100).is_ok()).count();
        assert!((1_100..=1_201).contains(&taken), "{taken} in ten seconds");
    }

    #[test]
    fn the_memory_is_bounded() {
        let rates = Rates::default();
        for n in 0..2 * CLIENTS_REMEMBERED_MAX {
            _ = rates.take(&n.to_string(), n as u64, 1);
        }
        assert_eq!(rates.0.lock().len(), CLIENTS_REMEMBERED_MAX);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| address_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::1"), "::1");
    }
}
