//! The HTTP face of the gateway: REST, OData over the log, an event stream, webhooks, metrics and a front page.
//!
//! [`Server::bind`] takes the config's API section and a running engine, [`Server::run`] serves until it is told to stop.
//!
//! | path | what it is |
//! | --- | --- |
//! | `/` | a page for people |
//! | `/api/v1/connections`, `…/{connection}` | connections with state, counters and faults |
//! | `/api/v1/connections/{connection}/points`, `…/{point}` | points; `POST …/{point}` writes |
//! | `/api/v1/connections/{connection}/points/{point}/readings` | history of a point |
//! | `/api/v1/points`, `/api/v1/latest` | points and last readings over all connections |
//! | `/api/v1/readings` | everything after a cursor: the resumable pull |
//! | `/api/v1/events` | the same as server-sent events, resumable by `Last-Event-ID` |
//! | `/api/v1/routes`, `…/{route}`, `…/{route}/dead-letters` | routes with cursor, backlog and what was refused |
//! | `/api/v1/dead-letters`, `…/{letter}`, `…/replay` | what could not be delivered: looked at, replayed, discarded |
//! | `/api/v1/import`, `…/{id}` | history from files, and how far an import has come |
//! | `/api/v1/gaps` | what is missing from the log, and why |
//! | `/api/v1/config`, `…/status`, `…/check`, `…/reload`, `…/rollback` | the running config and the ways to another |
//! | `/hooks/{connection}/{path}` | webhooks for adapters with the role responder |
//! | `/odata/v4/` | the log as an OData service |
//! | `/api/v1/adapters` | adapters of the folder, judged |
//! | `/api/v1/backup`, `/api/v1/journal` | a backup below the configured folder; the journal's last lines |
//! | `/api/v1/login`, `…/logout`, `…/session` | sessions of people |
//! | `/api/v1/users`, `/api/v1/keys`, `/api/v1/audit` | who may use the API, and who did what, for admins |
//! | `/docs`, `/api/v1/openapi.json` | what there is, as OpenAPI and as a page |
//! | `/metrics`, `/healthz`, `/readyz` | for those who watch over it |
//!
//! Every request passes the `gate`: what it needs stands in one table (`access::table`), and what is not in it is not served.
//!
//! What decides (roles, origins, parameters, paths, the bounds of a page) are plain functions over values; the rest
//! is wiring. Every answer to a request that cannot be served is a problem (RFC 9457), those of OData excepted, which are
//! as its standard wants them.

#![forbid(unsafe_code)]

mod access;
mod adapters;
mod app;
mod audit;
mod audit_paths;
mod backup;
mod command_key;
mod compress;
mod config;
mod connection_watch;
mod connections;
#[cfg(test)]
mod contract;
mod cors;
mod dead_letters;
mod docs_page;
mod error;
mod etag;
mod events;
mod feed;
mod finish;
mod forwarded;
mod front_page;
mod gaps;
mod gate;
mod health;
mod history;
mod holes;
mod hooks;
mod idempotency;
mod import;
mod journal;
mod json;
mod keys;
mod limits;
mod listing;
mod log_state;
mod metrics;
mod moment;
mod odata;
mod operations;
mod origin;
mod own_words;
mod packed;
mod page;
mod parameters;
mod path;
mod paths;
mod patience;
mod peer;
mod places;
mod points;
mod problem;
mod request_id;
mod routes;
mod server;
mod serving;
mod session;
mod signature;
mod tap;
mod tls;
mod unproved;
mod users;
mod write;

pub use access::accounts::{Accounts, ApiKey, User};
pub use access::store::{AccountStore, NewKey};
pub use access::table::{EndpointNeeds, endpoints};
pub use audit::{AuditLog, AuditRecord, AuditResult};
pub use command_key::command_line_key;
pub use error::ApiError;
#[doc(hidden)]
pub use import::fuzzing;
pub use operations::{Operations, Turns};
pub use paths::served_paths;
pub use server::{Server, ServerConfig};
pub use tls::ShownCertificate;
