//! Every bound of the HTTP face in one place.

use std::time::Duration;

/// TCP connections served at the same time; further ones wait in the listener's queue.
pub(crate) const CLIENTS_MAX: usize = 256;
/// Longest wait for the end of a TLS handshake.
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A client that takes nothing of an answer for this long is cut off.
pub(crate) const UNREAD_MAX: Duration = Duration::from_secs(30);
/// Requests that one HTTP/2 connection may have on the way.
pub(crate) const HTTP_2_STREAMS_MAX: u32 = 64;
/// Streams that an HTTP/2 client may have reset before the server has even looked at them.
pub(crate) const HTTP_2_UNSEEN_RESETS_MAX: usize = 20;
/// Streams that an HTTP/2 client may have the server reset by mistakes of its own.
pub(crate) const HTTP_2_MISTAKES_MAX: usize = 64;
/// Bytes of a body that an HTTP/2 client may send ahead, on a stream and in all.
pub(crate) const HTTP_2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same for all streams of a connection.
pub(crate) const HTTP_2_WINDOW_BYTES: u32 = 256 * 1024;
/// How often a silent HTTP/2 client is asked whether it is still there, and how long it has to answer.
pub(crate) const HTTP_2_PING: Duration = Duration::from_secs(30);
/// An HTTP/2 connection without a request for this long is closed; for at most twice as long.
pub(crate) const HTTP_2_IDLE: Duration = Duration::from_secs(60);
/// Requests that a connection may take back beyond those it lets be answered.
pub(crate) const RESETS_MAX: u32 = 100;
/// Requests worked on at the same time; further ones are answered with 503.
pub(crate) const REQUESTS_MAX: usize = 256;
/// Requests under way at the same time, of one address, that nobody has proved to have sent: logins and signed webhooks whose
/// body has not come yet.
pub(crate) const UNPROVED_OF_ADDRESS_MAX: u32 = 32;
/// The same of all addresses; the other places are for those who have proved who they are.
pub(crate) const UNPROVED_REQUESTS_MAX: usize = 128;
/// Time for the body of such a request, and the bytes that earn it one more second.
pub(crate) const UNPROVED_BODY_GRACE: Duration = Duration::from_secs(10);
/// See [`UNPROVED_BODY_GRACE`].
pub(crate) const UNPROVED_BODY_MIN_BYTES_PER_S: u64 = 4 * 1024;
/// Most header fields of a request.
pub(crate) const HEADERS_MAX: usize = 100;
/// Bytes of a request's head, request line and header fields together, after which no more is read; what one read brought
/// may go beyond.
pub(crate) const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Longest wait for a whole request head, also for the next one on an idle connection.
pub(crate) const HEAD_MAX: Duration = Duration::from_secs(30);
/// Longest time from a request's head to the head of its answer. A write may wait 30 s for its turn and 30 s for the
/// value to be read back.
pub(crate) const REQUEST_MAX: Duration = Duration::from_secs(75);
/// Time for requests on the way when the server stops; after it their connections are cut.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(2);
/// Bytes of a write's body.
pub(crate) const WRITE_BODY_MAX_BYTES: usize = 64 * 1024;
/// Bytes of a config: those of the longest that is read from a file.
pub(crate) const CONFIG_BODY_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a webhook's body.
pub(crate) const HOOK_BODY_MAX_BYTES: usize = 1024 * 1024;
/// Rows of a page where the client does not say otherwise.
pub(crate) const PAGE_DEFAULT_ROWS: usize = 1_000;
/// Most rows of a page.
pub(crate) const PAGE_MAX_ROWS: usize = 10_000;
/// A page ends early when its values have this many bytes, so that files as values do not fill the memory.
pub(crate) const PAGE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Rows taken from the log at a time.
pub(crate) const CHUNK_ROWS: usize = 256;
/// Rows of an OData page where the client says nothing.
pub(crate) const ODATA_PAGE_ROWS: usize = 1_000;
/// Most rows of an OData page, which a client gets by `Prefer: maxpagesize`. They stream: only a chunk is in memory.
pub(crate) const ODATA_PAGE_MAX_ROWS: usize = 1_000_000;
/// Gaps and dead letters that OData shows: gaps the oldest, dead letters the newest.
pub(crate) const ODATA_LISTED_MAX: usize = 10_000;
/// Points of a connection that its wide set shows: those declared first.
pub(crate) const ODATA_WIDE_POINTS_MAX: usize = 1_000;
/// Readings that are folded into rows of a wide set at a time.
pub(crate) const ODATA_WIDE_READINGS: usize = 50_000;
/// OData requests answered at the same time; further ones wait.
pub(crate) const ODATA_AT_ONCE_MAX: usize = 16;
/// Longest such wait.
pub(crate) const ODATA_WAIT: Duration = Duration::from_secs(10);
/// Pieces of a streamed answer that are ready before the client takes them.
pub(crate) const ODATA_PIECES_AHEAD: usize = 2;
/// Longest wait for a client to take a piece of a streamed answer; then it is cut off.
pub(crate) const ODATA_STALL_MAX: Duration = Duration::from_secs(60);
/// Longest run of one statement of an OData request.
pub(crate) const ODATA_QUERY_MAX: Duration = Duration::from_secs(10);
/// Event streams open at the same time.
pub(crate) const STREAMS_MAX: usize = 32;
/// Taps open at the same time, of all connections. Each holds a queue of at most 2 MiB.
pub(crate) const TAPS_MAX: usize = 4;
/// Longest time of a tap that asks for an end.
pub(crate) const TAP_MAX_S: u64 = 86_400;
/// Bytes of a payload that a tap shows; of a longer one it shows the beginning.
pub(crate) const TAP_PAYLOAD_MAX_BYTES: usize = 4 * 1024;
/// The same for a tap that records.
pub(crate) const TAP_WHOLE_MAX_BYTES: usize = 1024 * 1024;
/// How often a tap looks whether its connection is still there, and whether the config has other secrets.
pub(crate) const TAP_LOOK: Duration = Duration::from_secs(1);
/// Patterns of one event stream.
pub(crate) const STREAM_SELECTORS_MAX: usize = 16;
/// An event stream says something at least this often: it shows that it lives and moves the client's `Last-Event-ID`.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Query parameters of one request.
pub(crate) const PARAMETERS_MAX: usize = 64;
/// `Retry-After` where the cause names no time.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Longest wait for the log to take the append with which its health is tried.
pub(crate) const HEALTH_MAX: Duration = Duration::from_secs(5);
/// Longest time between two turns of the server's loop while it waits for clients.
pub(crate) const TURN: Duration = Duration::from_secs(1);
