//! The log's bounds, which must leave room for readings.

use super::At;
use crate::tree::Node;
use crate::{Diagnostic, Log};

/// The reserve is at most this part of the quota.
const RESERVE_SHARE: i64 = 4;

pub(super) fn check(root: &Node, out: &mut Vec<Diagnostic>) {
    let Some(log) = At::root(root).get("log") else { return };
    let Log { max_bytes, reserve_bytes, .. } = Log::default();
    let number = |key: &str, default: u64| log.integer_of(key).unwrap_or(default.try_into().unwrap_or(i64::MAX));
    let (quota, reserve) = (number("max_bytes", max_bytes), number("reserve_bytes", reserve_bytes));
    if reserve > quota / RESERVE_SHARE {
        let Some(at) = log.get("reserve_bytes").or_else(|| log.get("max_bytes")) else { return };
        let message = format!("found a reserve of {reserve} bytes, expected at most a quarter of the quota of {quota}");
        out.push(at.error(message));
    }
}
