//! The harness of the end-to-end tests: the gateway's binary as a process, its API, and the foreign programs it meets.
//!
//! A [`Site`] is a config with its data folder on disk; [`Site::run`] makes a [`Gateway`] of it, which speaks HTTP and
//! keeps its journal. [`Pymodbus`], [`Mosquitto`], [`SerialPair`] and [`mbpoll`] are software that others wrote.
//! [`scenario`] runs the folders under `tests/scenarios`. Whatever waits does so for an event, with a bound, and says
//! what was missing when the bound is reached.

#![forbid(unsafe_code)]

mod api;
mod broker_flows;
mod certificates;
pub mod clients;
mod dice;
mod draft_adapter;
mod fragile_adapter;
mod gateway;
mod gateway_process;
pub mod hostile;
mod http_client;
mod http_sink;
mod label_picture;
mod label_printer;
mod lines;
mod mbpoll;
mod memory;
mod mosquitto;
mod number_stream;
mod numbers;
mod odata_service;
mod openmetrics;
mod programs;
mod pymodbus;
mod registry;
pub mod scenario;
mod schemathesis;
mod serial_pair;
mod site;
pub mod soak;
mod versioned_adapter;
mod wait;

pub use api::{Api, Connection, Events, Fault, Point, Reading, Refusal, Route, Transport, Written};
pub use broker_flows::BrokerFlow;
pub use certificates::Certificates;
pub use dice::Dice;
pub use draft_adapter::draft_adapter;
pub use fragile_adapter::{Fragility, fragile_adapter};
pub use gateway::Gateway;
pub use http_client::http_client;
pub use http_sink::{Repeats, accepted_numbers, compare, first_arrivals, http_sink, prompt_route, repeats};
pub use label_picture::{Picture, QrCode, picture_of};
pub use label_printer::LabelPrinter;
pub use lines::Lines;
pub use mbpoll::{mbpoll, mbpoll_registers};
pub use mosquitto::{Mosquitto, MosquittoListener};
pub use number_stream::NumberStream;
pub use numbers::{NUMBERS, commit_numbers, numbers_to, unlucky};
pub use odata_service::ODataService;
pub use openmetrics::parse_openmetrics;
pub use programs::{adapters, faketime_library, gateway_binary, program};
pub use pymodbus::Pymodbus;
pub use registry::{OciRegistry, RegistryAccess};
pub use schemathesis::{check_examples, schemathesis};
pub use serial_pair::SerialPair;
pub use site::{CommandOutput, Site, run_command};
pub use versioned_adapter::{Polled, versioned_adapter};
pub use wait::{PATIENCE, until, within};
