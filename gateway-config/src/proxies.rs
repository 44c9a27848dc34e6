//! The setting `api.trusted_proxies`: which addresses stand between clients and the gateway and say truly how those reached
//! them.

use std::net::IpAddr;

/// Whether a text names addresses: one, or a network such as `10.1.0.0/16`.
pub(crate) fn is_network(text: &str) -> bool {
    parsed(text).is_some()
}

/// Whether an address is among those that the texts name.
pub(crate) fn names(texts: &[String], address: IpAddr) -> bool {
    let address = address.to_canonical();
    texts.iter().filter_map(|text| parsed(text)).any(|(network, length)| holds(network, length, address))
}

/// A network and the length of its prefix.
fn parsed(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok()?
        }
        Some(_) => return None,
    };
    (length <= most).then_some((address, length))
}

fn holds(network: IpAddr, length: u32, address: IpAddr) -> bool {
    let (a, b, bits) = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    length == 0 || (a ^ b) >> (bits - length) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_begins_like_them() {
        let trusted = |text: &str, address: &str| names(&[text.to_owned()], address.parse().unwrap());
        assert!(trusted("127.0.0.1", "127.0.0.1") && !trusted("127.0.0.1", "127.0.0.2"));
        assert!(trusted("10.1.0.0/16", "10.1.255.3") && !trusted("10.1.0.0/16", "10.2.0.1"));
        assert!(trusted("127.0.0.1", "::ffff:127.0.0.1"), "the same address, as a socket for both families has it");
        assert!(trusted("fd00::/8", "fd12::1") && !trusted("fd00::/8", "fe80::1"));
        assert!(trusted("0.0.0.0/0", "1.2.3.4") && !trusted("0.0.0.0/0", "::1"));
        for wrong in ["", "proxy", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "10.0.0.0/8/8"] {
            assert!(!is_network(wrong), "{wrong}");
        }
    }
}
