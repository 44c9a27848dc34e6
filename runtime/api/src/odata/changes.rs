//! What delta links and tags are made of: the log, the last number it has given, the first that is still there.

use bulkhead_log::Log;
use bulkhead_model::Seq;
use bulkhead_odata::Error;

/// The state of the log: `<log id>-<last seq>-<first seq>`.
pub(super) fn state(log: &Log) -> String {
    // The last number first: rows that retention takes away meanwhile only make the text another.
    let last = *log.committed().borrow();
    format!("{}-{last}-{}", log.id(), log.first_available())
}

/// The number in the state of a log that a client gives back.
///
/// # Errors
/// [`Error::Gone`] for another log's, [`Error::Invalid`] for a text that is none.
pub(super) fn seq_of(state: &str, log: &Log) -> Result<Seq, Error> {
    let refused = || Error::invalid("$deltatoken", "this is no token of this service: follow the link as it was given");
    let mut parts = state.split('-');
    let (Some(id), Some(last), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(refused());
    };
    let last: Seq = last.parse().ok().filter(|seq| i64::try_from(*seq).is_ok()).ok_or_else(refused)?;
    if id != log.id().as_str() {
        return Err(Error::Gone(
            "this link is of another log, which this gateway no longer has: read the set again with \
             `Prefer: track-changes`"
                .into(),
        ));
    }
    Ok(last)
}

/// That rows behind a number are still all there.
///
/// # Errors
/// [`Error::Gone`], with the way to go on.
pub(super) fn check_kept(since: Seq, log: &Log) -> Result<(), Error> {
    let first = log.first_available();
    if since.saturating_add(1) >= first {
        return Ok(());
    }
    Err(Error::Gone(format!(
        "readings behind this link were deleted by retention: those from {} to {} are gone. To go on with what is left, \
         read Readings?$filter=Seq ge {first} with `Prefer: track-changes` and follow the new delta link",
        since + 1,
        first - 1,
    )))
}
