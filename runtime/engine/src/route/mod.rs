//! Routes: from a cursor in the log to a sink. What a batch holds is decided in `selection` and `batching`; `delivery`
//! reads, sends, and moves the cursor.

mod batching;
mod delivery;
mod handle;
mod selection;

pub(crate) use handle::RouteHandle;
