//! Which addresses a name may lead to: the setting `allow_networks`. Pure.
//!
//! An address that the operator wrote into the URL is granted by that. A name is granted only as far as it leads to public
//! addresses; the ranges that are somebody's own (this machine, its link, private networks) must be granted besides, because
//! whoever answers for the name decides where it leads, and may change it between two requests.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of range an address lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// Anybody's.
    Public,
    /// This machine.
    Loopback,
    /// The machines on the same link, among them the metadata services of clouds.
    LinkLocal,
    /// A private network, or the provider's behind a shared address.
    Private,
    /// Multicast, documentation, benchmarks, and what is set aside: nobody's.
    Reserved,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Range::Public => "public",
            Range::Loopback => "loopback",
            Range::LinkLocal => "link-local",
            Range::Private => "private",
            Range::Reserved => "reserved",
        })
    }
}

/// What a grant must look like.
pub(crate) const EXPECTED: &str = "`loopback`, `link-local`, `private`, or a network such as `10.1.0.0/16`";

/// Ranges that are granted beside the public one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Networks(Vec<Grant>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Grant {
    Range(Range),
    /// An address and how many of its leading bits count.
    Network(IpAddr, u8),
}

impl Networks {
    /// Reads the grants; the error is the text that is none.
    pub(crate) fn parse(grants: &[String]) -> Result<Self, String> {
        grants.iter().map(|text| grant(text).ok_or_else(|| text.clone())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a name may lead to an address.
    pub(crate) fn allow(&self, address: IpAddr) -> bool {
        let range = range(address);
        range == Range::Public
            || self.0.iter().any(|grant| match grant {
                Grant::Range(granted) => *granted == range,
                Grant::Network(network, bits) => is_in(plain(address), *network, *bits),
            })
    }
}

fn grant(text: &str) -> Option<Grant> {
    let range = match text {
        "loopback" => Range::Loopback,
        "link-local" => Range::LinkLocal,
        "private" => Range::Private,
        _ => {
            let (address, bits) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let bits: u8 = bits.parse().ok().filter(|_| bits.bytes().all(|byte| byte.is_ascii_digit()))?;
            return (bits <= width(address)).then_some(Grant::Network(address, bits));
        }
    };
    Some(Grant::Range(range))
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

/// An IPv4 address that is wrapped into an IPv6 one (mapped, compatible, NAT64, 6to4) as itself; any other as it is.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let low = |at: usize| {
        let [a, b] = v6.segments()[at].to_be_bytes();
        let [c, d] = v6.segments()[at + 1].to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => low(6),
        [0x2002, ..] => low(1),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => low(6),
        _ => address,
    }
}

/// The range an address lies in.
pub(crate) fn range(address: IpAddr) -> Range {
    match plain(address) {
        IpAddr::V4(v4) => range_v4(v4),
        IpAddr::V6(v6) => range_v6(v6),
    }
}

fn range_v4(address: Ipv4Addr) -> Range {
    match address.octets() {
        // To this "network", a connect goes to this machine.
        [0 | 127, ..] => Range::Loopback,
        [169, 254, ..] => Range::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Range::Private,
        [192, 0, 0 | 2, _] | [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => {
            Range::Reserved
        }
        _ => Range::Public,
    }
}

fn range_v6(address: Ipv6Addr) -> Range {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Range::Loopback,
        [first, ..] if first & 0xffc0 == 0xfe80 => Range::LinkLocal,
        // Unique local, and what was site-local before.
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Range::Private,
        // Teredo hides an address of its own; the rest is documentation, benchmarks, and what nobody has been given.
        [0x2001, 0 | 2 | 0xdb8, ..] | [0x64, 0xff9b, ..] => Range::Reserved,
        [first, ..] if first & 0xe000 != 0x2000 => Range::Reserved,
        _ => Range::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(grants: &[&str]) -> Networks {
        Networks::parse(&grants.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn an_address_lies_in_its_range_however_it_is_wrapped() {
        for (address, expected) in [
            ("8.8.8.8", Range::Public),
            ("2606:4700::1111", Range::Public),
            ("127.0.0.1", Range::Loopback),
            ("127.255.255.254", Range::Loopback),
            ("0.0.0.0", Range::Loopback),
            ("::1", Range::Loopback),
            ("::", Range::Loopback),
            ("::ffff:127.0.0.1", Range::Loopback),
            ("::127.0.0.1", Range::Loopback),
            ("64:ff9b::7f00:1", Range::Loopback),
            ("2002:7f00:1::", Range::Loopback),
            ("169.254.169.254", Range::LinkLocal),
            ("::ffff:169.254.169.254", Range::LinkLocal),
            ("fe80::1", Range::LinkLocal),
            ("10.0.0.1", Range::Private),
            ("172.31.255.255", Range::Private),
            ("192.168.1.1", Range::Private),
            ("100.64.0.1", Range::Private),
            ("fd12::1", Range::Private),
            ("fec0::1", Range::Private),
            ("::ffff:10.0.0.1", Range::Private),
            ("::ffff:8.8.8.8", Range::Public),
            ("172.32.0.1", Range::Public),
            ("224.0.0.1", Range::Reserved),
            ("255.255.255.255", Range::Reserved),
            ("ff02::1", Range::Reserved),
            ("2001::1", Range::Reserved),
            ("2001:db8::1", Range::Reserved),
        ] {
            assert_eq!(range(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn ranges_are_closed_until_they_are_granted() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for closed in ["127.0.0.1", "::1", "10.1.2.3", "169.254.169.254", "::ffff:10.1.2.3", "fe80::1", "224.0.0.1"] {
            assert!(!Networks::default().allow(address(closed)), "{closed}");
        }
        assert!(Networks::default().allow(address("8.8.8.8")));
        let private = networks(&["private"]);
        assert!(private.allow(address("10.1.2.3")) && private.allow(address("::ffff:192.168.0.1")));
        assert!(!private.allow(address("127.0.0.1")) && !private.allow(address("169.254.1.1")));
        let one = networks(&["10.1.0.0/16", "fd00:1::/32"]);
        assert!(one.allow(address("10.1.255.255")) && one.allow(address("::ffff:10.1.0.1")));
        assert!(
            !one.allow(address("10.2.0.1")) && one.allow(address("fd00:1:9::1")) && !one.allow(address("fd00:2::1"))
        );
        assert!(networks(&["0.0.0.0/0"]).allow(address("127.0.0.1")));
    }

    #[test]
    fn what_is_no_grant_is_named() {
        for text in ["public", "10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "lan", ""] {
            assert_eq!(Networks::parse(&[text.to_owned()]), Err(text.to_owned()));
        }
    }
}
