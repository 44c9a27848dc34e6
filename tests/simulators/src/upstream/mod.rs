//! An HTTP upstream that takes OData entities and plain JSON, remembers what it accepted, and misbehaves on demand.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /ingest` | 200; one JSON value, or an array that is accepted whole or, entity by entity, refused |
//! | `POST /odata/{Set}` | 201 with the entity, or 204 with `Prefer: return=minimal` |
//! | `PUT`, `PATCH /odata/{Set}(key)` | upsert, with `If-Match` and `If-None-Match` |
//! | `GET`, `DELETE /odata/{Set}(key)`, `GET /odata/{Set}` | entities |
//! | `POST /odata/$batch` | JSON or multipart/mixed, with change sets |
//! | `GET /odata/`, `GET /odata/$metadata` | service document, model |
//! | `POST /token` | OAuth2 client credentials |
//! | `GET /` | a page of what was accepted |
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), bulkhead_simulators::SimulatorError> {
//! use bulkhead_simulators::upstream::{Misbehaviour, Upstream, UpstreamConfig};
//!
//! let mut upstream = Upstream::start(UpstreamConfig::default()).await?;
//! println!("deliver to {}/odata/Readings", upstream.url());
//! upstream.next(Misbehaviour::retry_later(503, 2), 1); // the next request: 503, Retry-After: 2
//! upstream.stop().await;
//! # Ok(())
//! # }
//! ```

mod auth;
mod batch;
mod handle;
mod listener;
mod multipart;
mod odata;
mod page;
mod script;
mod serve;
mod store;

pub use auth::Auth;
pub use handle::{Upstream, UpstreamConfig, UpstreamStats};
pub use script::{Misbehaviour, Rejection, RetryAfter};
pub use store::Accepted;
