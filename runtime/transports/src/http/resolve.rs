//! Names to addresses, with the policy between: whoever connects gets only addresses that are granted, and connects to the very
//! addresses that were judged. Asked again for each new connection, so that a name that has come to lead elsewhere is judged anew.

use super::networks::{Networks, range};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Resolves names for one transport.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolver {
    networks: Arc<Networks>,
}

/// A name that leads only to what is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name `{name}` leads to {address}, a {range} address; if it may, add {grant} to `allow_networks`")]
pub(crate) struct NotGranted {
    name: String,
    address: IpAddr,
    range: String,
    grant: String,
}

impl Resolver {
    pub(crate) fn new(networks: Networks) -> Self {
        Self { networks: Arc::new(networks) }
    }

    /// The addresses that a host may be connected at. An address is itself: the operator wrote it.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        self.judge(host, found)
    }

    /// Those of a name's addresses that are granted.
    fn judge(&self, name: &str, found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        let (granted, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(|at| self.networks.allow(at.ip()));
        match (granted.is_empty(), refused.first()) {
            (true, Some(refused)) => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, not_granted(name, refused.ip())))
            }
            (true, None) => Err(io::Error::new(io::ErrorKind::NotFound, format!("the name `{name}` has no address"))),
            (false, _) => Ok(granted),
        }
    }
}

fn not_granted(name: &str, address: IpAddr) -> NotGranted {
    let range = range(address).to_string();
    let grant = match range.as_str() {
        "reserved" => format!("\"{address}/{}\"", if address.is_ipv4() { 32 } else { 128 }),
        range => format!("\"{range}\""),
    };
    NotGranted { name: name.to_owned(), address, range, grant }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            // The port is the connector's to put in.
            let addresses = resolver.addresses(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_names_addresses_the_granted_ones_are_left_and_none_is_a_refusal() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 80);
        let resolver = Resolver::default();
        let mixed = resolver.judge("erp.example", vec![at("10.0.0.5"), at("8.8.8.8"), at("::1")]).unwrap();
        assert_eq!(mixed, [at("8.8.8.8")]);
        let error = resolver.judge("erp.example", vec![at("::ffff:10.0.0.5")]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("`erp.example`") && text.contains("private") && text.contains("allow_networks"),
            "{text}"
        );
        assert!(error.get_ref().is_some_and(|cause| cause.is::<NotGranted>()));
        let private = Resolver::new(Networks::parse(&["private".into()]).unwrap());
        assert_eq!(private.judge("erp.example", vec![at("10.0.0.5")]).unwrap(), [at("10.0.0.5")]);
    }

    #[tokio::test]
    async fn an_address_in_the_url_is_granted_by_being_there() {
        let resolver = Resolver::default();
        assert_eq!(resolver.addresses("127.0.0.1", 9).await.unwrap(), [SocketAddr::from(([127, 0, 0, 1], 9))]);
        assert!(resolver.addresses("localhost", 9).await.is_err());
    }
}
