//! Every bound of an import in one place.

use std::time::Duration;

/// Longest row of a file, in bytes.
pub(crate) const ROW_MAX_BYTES: usize = 256 * 1024;
/// Most columns of a CSV file.
pub(crate) const COLUMNS_MAX: usize = 4_096;
/// Bytes of a file that are taken apart at a time.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for that.
pub(crate) const PIECES_AHEAD: usize = 4;
/// Readings that are appended together, unless one row alone has more.
pub(crate) const PART_READINGS: usize = 2_000;
/// Bytes of values after which a part is appended though it has fewer.
pub(crate) const PART_BYTES: usize = 1024 * 1024;
/// Rows that are set aside or, in a trial, told of one by one.
pub(crate) const BAD_ROWS_MAX: usize = 1_000;
/// Bad rows up to which a wrong point is held against all others for a near name.
pub(crate) const HINTS_MAX: u64 = 100;
/// Characters of what was found that a report shows.
pub(crate) const FOUND_MAX_CHARS: usize = 80;
/// Imports at the same time.
pub(crate) const IMPORTS_AT_ONCE_MAX: usize = 2;
/// Longest wait for more of a file.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(60);
/// Longest time in which the rest of a refused file is read and thrown away, so that its sender gets to read why.
pub(crate) const DISCARD_MAX: Duration = Duration::from_secs(30);
/// After each part an import rests for as long as the part took, at most so long: devices come first.
pub(crate) const REST_MAX: Duration = Duration::from_millis(200);
