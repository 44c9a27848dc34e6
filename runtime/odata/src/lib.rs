//! OData 4.01 for any model: values in, values out. This crate parses URLs, types expressions against a model, asks a
//! [`Service`] for rows and writes the answer. It knows no gateway type, no HTTP server and no database.
//!
//! A request goes through five stages, each a pure function over plain values:
//!
//! 1. [`url`] takes the path and the query apart and undoes percent-encoding exactly once;
//! 2. [`expr::parse`] turns text into a syntax tree with positions, knowing no model;
//! 3. [`typed`] checks the tree against the [`Model`] and gives every node a type;
//! 4. the [`Service`] of the host answers a [`Query`] with a [`Page`], by SQL from [`sql`] if it likes;
//! 5. [`json`], [`csdl`] write the answer as the [`negotiate`]d headers ask.
//!
//! [`handle()`] runs all five:
//!
//! ```
//! use bulkhead_odata::{
//!     EntitySet, EntityType, Error, Model, Page, PrimitiveType, Property, Query, Request, Service, Value, handle,
//! };
//!
//! struct Boilers(Model);
//!
//! impl Service for Boilers {
//!     fn model(&self) -> &Model {
//!         &self.0
//!     }
//!     fn read(&self, query: &Query<'_>) -> Result<Page, Error> {
//!         let row = |name: &str| match name {
//!             "Id" => Value::Int(7),
//!             _ => Value::Double(61.5),
//!         };
//!         Ok(Page { rows: vec![query.column_names().map(row).collect()], count: None, next_token: None })
//!     }
//!     fn count(&self, _query: &Query<'_>) -> Result<u64, Error> {
//!         Ok(1)
//!     }
//! }
//!
//! let boiler = EntityType::new("Boiler", ["Id"])
//!     .with(Property::required("Id", PrimitiveType::Int32))
//!     .with(Property::optional("FlowTemperature", PrimitiveType::Double));
//! let model = Model::new("Heating", "Container", vec![boiler], vec![EntitySet::new("Boilers", "Boiler")])?;
//! let headers = [("accept", "application/json")];
//! let request = Request::get("Boilers", "$select=FlowTemperature", &headers, "http://127.0.0.1/odata/v4/");
//! let response = handle(&request, &Boilers(model));
//! assert_eq!(response.status, 200);
//! assert!(response.body.ends_with(br#""value":[{"FlowTemperature":61.5}]}"#));
//! # Ok::<(), bulkhead_odata::ModelError>(())
//! ```

#![forbid(unsafe_code)]

pub mod apply;
pub mod batch;
pub mod cells;
pub mod coding;
pub mod csdl;
pub mod error;
pub mod eval;
pub mod expr;
pub mod geo;
pub mod handle;
pub mod json;
pub mod limits;
pub mod literal;
pub mod memory;
pub mod model;
pub mod negotiate;
pub mod options;
pub mod plan;
pub mod resource;
pub mod rules;
pub mod search;
pub mod select;
pub mod service;
pub mod sql;
pub mod typed;
pub mod url;
pub mod value;
pub mod view;

pub use error::Error;
pub use handle::{Outlet, Request, Response, handle, handle_streaming};
pub use limits::Limits;
pub use memory::MemoryStore;
pub use model::{
    Abilities, EntitySet, EntityType, Model, ModelError, Navigation, Operation, PrimitiveType, Property, Type,
};
pub use service::{Given, Grouping, Invocation, Media, OrderBy, Page, Query, Row, Service, Store, Take};
pub use sql::{SqlFragment, SqlTranslator};
pub use typed::{Node, TypedExpr};
pub use value::{Home, Record, Value};
