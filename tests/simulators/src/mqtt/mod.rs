//! The MQTT side of the field: a small broker (3.1.1 and 5.0), a publishing device, and a source that floods one
//! subscriber for benches.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), bulkhead_simulators::SimulatorError> {
//! use bulkhead_simulators::mqtt::{Broker, BrokerConfig, Publisher, PublisherConfig};
//! use std::time::Duration;
//!
//! let mut broker = Broker::start(BrokerConfig::default()).await?;
//! let device = Publisher::start(PublisherConfig::new(broker.address(), "plant/press/telemetry", Duration::from_millis(5)));
//! broker.wait_until(|stats| stats.received >= 3).await;
//! drop(device);
//! broker.stop().await;
//! # Ok(())
//! # }
//! ```

mod broker;
mod connection;
mod flood;
mod packet;
mod property;
mod publisher;
mod session;
mod topic;

pub use broker::{Broker, BrokerConfig, BrokerStats, Credentials};
pub use flood::{Flood, FloodConfig, FloodReport};
pub use packet::QoS;
pub use publisher::{Payload, Publisher, PublisherConfig, PublisherStats, telemetry};
