//! What a route keeps beside its cursor: the batch it has on the way, and the readings its upstream refused.

use bulkhead_model::{PointId, Seq, Timestamp};

/// The bounds of a batch that may have been sent; stored before it is, so that after a crash exactly it goes again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InFlight {
    /// The revision of the route that made it.
    pub revision: String,
    /// Its first seq.
    pub first: Seq,
    /// Its last seq.
    pub last: Seq,
}

/// A reading that an upstream will never take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// The route that tried.
    pub route: String,
    /// The reading's seq.
    pub seq: Seq,
    /// The reading's point.
    pub point: PointId,
    /// The fault's code.
    pub code: String,
    /// The fault's message.
    pub message: String,
    /// When it was refused.
    pub time: Timestamp,
}
