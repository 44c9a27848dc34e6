//! Another config for a running gateway: what comes of it, and what is left alone.

mod api;
mod file;
mod plants;
mod routes;
mod serial;
