//! Every bound of this crate in one place. A breach is a 4xx that names the limit.

/// Longest URL in bytes: path below the root and query together.
pub const URL_MAX_BYTES: usize = 16 * 1024;
/// Most query options in one URL.
pub const OPTIONS_MAX: usize = 64;
/// Most path segments below the root.
pub const SEGMENTS_MAX: usize = 32;
/// Longest expression in bytes, after decoding.
pub const EXPRESSION_MAX_BYTES: usize = 8 * 1024;
/// Deepest nesting of an expression.
pub const EXPRESSION_MAX_DEPTH: usize = 64;
/// Deepest nesting of an expression with all parameter aliases that it uses; also of parentheses in `$select`, `$expand` and
/// `$apply`.
pub const TREE_MAX_DEPTH: usize = 2 * EXPRESSION_MAX_DEPTH;
/// Most nodes in an expression.
pub const EXPRESSION_MAX_NODES: usize = 1_000;
/// Longest SQL written for one expression, in bytes. Some functions need their arguments more than once.
pub const SQL_MAX_BYTES: usize = 256 * 1024;
/// Most items in `$orderby` or `$select`.
pub const LIST_MAX_ITEMS: usize = 128;
/// Longest `$skiptoken` in bytes, after decoding.
pub const PAGE_TOKEN_MAX_BYTES: usize = 4 * 1024;
/// Rows of a page where the host does not say otherwise; also the most a client gets by `Prefer: maxpagesize`.
pub const PAGE_MAX_ROWS: usize = 5_000;
/// Deepest nesting of `$expand`, and what `$levels=max` means.
pub const EXPAND_MAX_DEPTH: usize = 6;
/// Most entities that one answer may hold with all that it expands.
pub const ENTITIES_MAX: usize = 100_000;
/// Rows asked of a service at a time where they come in the order of the key: what of a long answer is in memory.
pub const CHUNK_ROWS: usize = 2_000;
/// The same where each row is written as soon as it is read.
pub const FLAT_CHUNK_ROWS: usize = 8_000;
/// Bytes of an answer, with the row that passes them, that are written before they are given to the host, where rows are written
/// as they are read: not while more are read, which may hold up others.
pub const FLAT_CHUNK_BYTES: usize = 512 * 1024;
/// Rows asked of a service at a time in any other order, which may have to be made anew each time.
pub const SORTED_CHUNK_ROWS: usize = 10_000;
/// Bytes of an answer that are gathered before they are given to the host.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Rows of a collection that `$expand` reads from a service, for each row; behind them stands a link to the rest.
pub const EXPANDED_PAGE_ROWS: usize = 1_000;
/// Rows of a service that are taken into memory for what it cannot do itself, such as `topcount`.
pub const ROWS_IN_MEMORY_MAX: usize = 20_000;
/// Groups that `$apply` may make of a service's rows.
pub const GROUPS_MAX: usize = 100_000;
/// Bytes of all answers in one batch; requests behind them are refused.
pub const BATCH_ANSWERS_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Steps that a request may take in memory, all requests of a batch together: values computed, and rows looked at to find those
/// that belong to another. A few seconds of work.
pub const WORK_MAX_STEPS: u64 = 50_000_000;
/// Steps that each row of a stream gives back, as long as some are left and up to that bound: long answers take long, but no row
/// for itself.
pub const WORK_STEPS_PER_ROW: u64 = 20_000;
/// Largest pattern of `matchesPattern`, made ready to match, in bytes.
pub const PATTERN_MAX_BYTES: usize = 64 * 1024;
/// Steps that an item of a collection counts for that an answer holds: collections can hold each other many times.
pub const WRITTEN_ITEM_STEPS: usize = 20;
/// Most transformations in `$apply`.
pub const TRANSFORMATIONS_MAX: usize = 64;
/// Longest body of a request, in bytes; a host should not read more.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;
/// Most requests in a batch.
pub const BATCH_MAX_REQUESTS: usize = 100;
/// Longest identifier in characters (OData ABNF `odataIdentifier`).
pub const IDENTIFIER_MAX_CHARS: usize = 128;

/// Bounds on one expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest text in bytes.
    pub bytes: usize,
    /// Deepest nesting.
    pub depth: usize,
    /// Most nodes.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: EXPRESSION_MAX_BYTES, depth: EXPRESSION_MAX_DEPTH, nodes: EXPRESSION_MAX_NODES }
    }
}
