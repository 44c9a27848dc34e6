//! `bulkhead audit`: who changed what and who was refused, from the files in the data folder, whether a gateway runs or not.

use super::accounts::data_dir;
use crate::cli::AuditArguments;
use crate::exit::Exit;
use crate::{console, journal};
use bulkhead_api::{AuditLog, AuditRecord, AuditResult};
use bulkhead_engine::SystemClock;
use bulkhead_model::{Timestamp, escaped_json};
use bulkhead_sandbox::capability::Clock;

/// Records read at a time.
const PAGE: usize = 1_000;

pub(crate) fn audit(arguments: &AuditArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let since_ns = match &arguments.since {
        None => i64::MIN,
        Some(text) => since(text, SystemClock::default().now().0).ok_or_else(|| {
            Exit::failed(format!("`{text}` is no time: expected 2026-11-22T08:00:00Z, 30m, 12h or 7d"))
        })?,
    };
    let log = AuditLog::in_folder(&data_dir(&arguments.config)?);
    let (mut after, mut rows) = (0, Vec::new());
    loop {
        let page = log.read(after, since_ns, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for record in &page {
            if arguments.json {
                console::say(&escaped_json(&serde_json::to_string(record)?));
            } else {
                rows.push(row(record));
            }
        }
    }
    match (arguments.json, rows.is_empty()) {
        (true, _) => {}
        (false, true) => console::say("no records"),
        (false, false) => console::say_lines(&console::table(["time", "who", "from", "what", "result"], rows)),
    }
    Ok(())
}

/// A moment, or one so long ago, in nanoseconds since 1970.
fn since(text: &str, now_ns: i64) -> Option<i64> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(moment.as_nanosecond()).ok();
    }
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let length_ns =
        number.parse::<u32>().ok().and_then(|number| i64::from(number).checked_mul(seconds * 1_000_000_000))?;
    Some(now_ns.saturating_sub(length_ns))
}

fn row(record: &AuditRecord) -> [String; 5] {
    let result = match record.result {
        AuditResult::Done => "done".to_owned(),
        AuditResult::Refused => format!("refused: {}", record.code.as_deref().unwrap_or("-")),
        AuditResult::Failed => format!("failed: {}", record.code.as_deref().unwrap_or("-")),
    };
    let who = record.who.clone().unwrap_or_else(|| "-".into());
    let detail = record.detail.as_ref().map(|detail| format!(" {detail}")).unwrap_or_default();
    let time = super::poll::time(Timestamp(record.time_ns));
    [time, who, record.from.clone(), format!("{}{detail}", record.what), result]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_or_so_long_ago() {
        let day_ns = 86_400_000_000_000;
        assert_eq!(since("7d", 10 * day_ns), Some(3 * day_ns));
        assert_eq!(since("12h", day_ns), Some(day_ns / 2));
        assert_eq!(since("1970-01-02T00:00:00Z", 0), Some(day_ns));
        for wrong in ["", "d", "5", "-1d", "5w", "yesterday", "°"] {
            assert_eq!(since(wrong, 0), None, "{wrong}");
        }
    }
}
