//! Where a request came from, as the listener saw it; each request carries it.

use crate::access::certificates::PeerCertificate;
use crate::access::scheme::Channel;
use std::net::SocketAddr;
use std::sync::Arc;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) channel: Channel,
    /// Its certificate, which one of the configured authorities has signed.
    pub(crate) certificate: Option<Arc<PeerCertificate>>,
}

impl Peer {
    /// A connection without TLS from one address to another. From an address of this machine only this machine can send.
    pub(crate) fn plain(address: SocketAddr, own: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        let local = ip.is_loopback() || ip == own.ip().to_canonical();
        Self { address, channel: Channel { tls: false, local }, certificate: None }
    }

    /// The same over TLS.
    pub(crate) fn over_tls(self, certificate: Option<&[u8]>) -> Self {
        let certificate = certificate.map(|der| Arc::new(PeerCertificate::of(der)));
        Self { channel: Channel { tls: true, ..self.channel }, certificate, ..self }
    }
}
