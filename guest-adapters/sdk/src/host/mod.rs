//! What the host lends: thin modules over the imports, one a capability.
//!
//! In a component each function calls its import; imports that nobody calls do not end up in the component, so an adapter
//! asks for no more than it uses. On the host the same functions ask the test's [`crate::testing::Host`].

pub mod clock;
pub mod http;
pub mod log;
pub mod modbus;
pub mod mqtt;
pub mod serial;
pub mod state;
pub mod tcp;
