//! Routes: from a cursor in the log to a sink. What a batch holds and what follows a try is decided in `selection`,
//! `batching`, `pace`, `key` and `verdict`, which are plain values; `backlog` reads ahead, `delivery` sends and moves the
//! cursor.

mod backlog;
mod batching;
mod delivery;
#[cfg(test)]
mod delivery_model;
mod handle;
mod key;
mod pace;
mod replay;
mod selection;
#[cfg(test)]
mod test_route;
mod upstream;
mod verdict;

pub(crate) use handle::RouteHandle;
pub(crate) use replay::{Replay, replay};
