//! Where a request came from, as the listener saw it; each request carries it.

use crate::access::certificates::PeerCertificate;
use crate::access::scheme::Channel;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Who is behind it, as trusted proxies say.
    behind: Option<IpAddr>,
    pub(crate) channel: Channel,
    /// Its certificate, which one of the configured authorities has signed.
    pub(crate) certificate: Option<Arc<PeerCertificate>>,
}

impl Peer {
    /// A connection without TLS from one address to another. From an address of this machine only this machine can send.
    pub(crate) fn plain(address: SocketAddr, own: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        let local = ip.is_loopback() || ip == own.ip().to_canonical();
        Self { address, behind: None, channel: Channel { tls: false, local }, certificate: None }
    }

    /// The address that the request came from: what is counted, locked out and recorded.
    pub(crate) fn client(&self) -> IpAddr {
        self.behind.unwrap_or_else(|| self.address.ip())
    }

    /// The same request as a trusted proxy hands it on for a client. Nobody reads along if nobody does on the way from the
    /// proxy, and the proxy says that its client came over TLS. A certificate would be the proxy's.
    pub(crate) fn behind_proxy(self, client: IpAddr, tls: bool) -> Self {
        let client = client.to_canonical();
        let local = self.channel.local && client.is_loopback();
        let tls = tls && self.channel.is_private();
        Self { behind: Some(client), channel: Channel { tls, local }, ..self }
    }

    /// The same over TLS.
    pub(crate) fn over_tls(self, certificate: Option<&[u8]>) -> Self {
        let certificate = certificate.map(|der| Arc::new(PeerCertificate::of(der)));
        Self { channel: Channel { tls: true, ..self.channel }, certificate, ..self }
    }
}
