//! `bulkhead demo`: simulated devices, an upstream, and the gateway between them, with a live table of points.
