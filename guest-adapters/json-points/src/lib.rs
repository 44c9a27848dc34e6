//! JSON to points, shared by the adapters that read JSON.
//!
//! [`Mapping`] is what an operator writes; [`Reader`] compiles it and takes from each payload what it names, while parsing,
//! without building a tree of the payload; [`Known`] holds the declared points of one origin and makes readings of what
//! was found; [`Origins`] keeps them for many. What is wrong with a payload or a value is a [`Problem`]: a Bad status for the reading and a sentence for
//! people.

mod direct;
mod filter;
mod known;
mod layout;
mod leaves;
mod moment;
mod naming;
mod origins;
mod path;
mod plan;
mod problem;
mod reader;
mod scalar;
mod settings;
mod text;
mod tree;

pub use bulkhead_sdk::text::Encoding;
pub use known::{Arrival, Known, Report, UNLISTED_POINTS_MAX};
pub use moment::TimeFormat;
pub use naming::Naming;
pub use origins::{KEPT_ORIGINS_MAX, ORIGIN_MAX_BYTES, Origins, Rule, RuleSettings};
pub use plan::POINTS_MAX;
pub use problem::Problem;
pub use reader::{Found, Place, Reader, VALUES_MAX};
pub use scalar::Scalar;
pub use settings::{Mapping, PointSettings, PointType, TimeSettings};
