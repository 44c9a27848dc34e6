//! The server of the example `odata-memory`, over HTTP on loopback: what the specification allows a client to ask of the shop
//! is answered right, or refused as it says.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "shop/aggregation.rs"]
mod aggregation;
#[path = "shop/batch.rs"]
mod batch;
#[path = "shop/collections.rs"]
mod collections;
#[path = "shop/documents.rs"]
mod documents;
#[path = "shop/entities.rs"]
mod entities;
#[path = "shop/expressions.rs"]
mod expressions;
#[path = "shop/headers.rs"]
mod headers;
#[path = "shop/refusals.rs"]
mod refusals;
#[path = "shop/server.rs"]
mod server;
#[path = "shop/shapes.rs"]
mod shapes;

#[path = "../examples/odata-memory/compress.rs"]
mod compress;
#[path = "../examples/odata-memory/serve.rs"]
mod serve;
#[path = "../examples/odata-memory/shop.rs"]
mod shop;
