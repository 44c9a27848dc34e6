//! What a server's answer means: taken, refused for good, or to be tried again, and when.

use bulkhead_sdk::http::Incoming;
use bulkhead_sdk::{Fault, clock};
use jiff::fmt::rfc2822;

/// Longest wait that a server's Retry-After is followed: a day.
pub const RETRY_AFTER_MAX_MS: u32 = 86_400_000;
/// Most characters of a body that a message repeats.
const EXCERPT_CHARS_MAX: usize = 300;
/// Statuses of 4xx that say nothing about the readings: credentials (401, 403, 407), a path or method that is not there
/// (404, 405), and requests to come again later (408, 425, 429). Readings wait for these to be put right.
const WAITING: [u16; 8] = [401, 403, 404, 405, 407, 408, 425, 429];

/// What an answer's status means for what was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The server has it.
    Taken,
    /// The server will never take it.
    Refused,
    /// The same may be taken later.
    Later,
}

/// Which statuses mean what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdicts {
    taken: Vec<(u16, u16)>,
    refused: Option<Vec<(u16, u16)>>,
}

/// 2xx is taken; 4xx is refused, but for those that say nothing about the readings; the rest is later.
impl Default for Verdicts {
    fn default() -> Self {
        Verdicts { taken: vec![(200, 299)], refused: None }
    }
}

impl Verdicts {
    /// From lists such as `["200-299", "409"]`; none: the default.
    ///
    /// # Errors
    /// A sentence: an entry that is no status and no range of them.
    pub fn parse(taken: Option<&[String]>, refused: Option<&[String]>) -> Result<Verdicts, String> {
        let ranges = |list: &[String]| list.iter().map(|text| range(text)).collect::<Result<Vec<_>, _>>();
        let default = Verdicts::default();
        Ok(Verdicts {
            taken: taken.map(ranges).transpose()?.unwrap_or(default.taken),
            refused: refused.map(ranges).transpose()?,
        })
    }

    /// What a status means.
    #[must_use]
    pub fn of(&self, status: u16) -> Verdict {
        let is_in = |ranges: &[(u16, u16)]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&status));
        let is_refused = match &self.refused {
            Some(ranges) => is_in(ranges),
            None => (400..500).contains(&status) && !WAITING.contains(&status),
        };
        match (is_in(&self.taken), is_refused) {
            (true, _) => Verdict::Taken,
            (false, true) => Verdict::Refused,
            (false, false) => Verdict::Later,
        }
    }
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if (200..=599).contains(&first) && first <= last && last <= 599 => Ok((first, last)),
        _ => {
            Err(format!("`{text}` is no status from 200 to 599, such as `409`, nor a range of them, such as `200-299`"))
        }
    }
}

/// How long a Retry-After asks to wait (RFC 9110 §10.2.3): seconds, or a date. None: neither. A date that has passed is 0.
#[must_use]
pub fn retry_after_ms(header: &str, now_ns: i64) -> Option<u32> {
    let header = header.trim();
    let wait_ms = if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        header.parse::<i128>().map_or(i128::MAX, |seconds| seconds.saturating_mul(1_000))
    } else {
        let date = rfc2822::parse(header).ok()?;
        (date.timestamp().as_nanosecond() - i128::from(now_ns)).max(0) / 1_000_000
    };
    Some(u32::try_from(wait_ms).unwrap_or(u32::MAX).min(RETRY_AFTER_MAX_MS))
}

/// The fault of an answer that may be another one later, with what the server says and how long it asks to wait. `what` is
/// what was asked for: `POST /readings`.
#[must_use]
pub fn retry_fault(what: &str, answer: &Incoming, text: &str) -> Fault {
    let hint = match answer.status {
        401 | 403 | 407 => ": the credentials of the transport are missing, wrong or may not do this",
        404 => ": there is nothing at this path; check base_url and path",
        405 => ": the server does not take this method here",
        429 => ": the server asks to send less",
        _ => "",
    };
    let said = if text.is_empty() { String::new() } else { format!("; it says: {text}") };
    let fault =
        Fault::retry(format!("status-{}", answer.status), format!("{what} answered {}{hint}{said}", answer.status));
    match answer.header("retry-after").and_then(|header| retry_after_ms(header, clock::now())) {
        Some(wait_ms) => fault.after_ms(wait_ms),
        None => fault,
    }
}

/// The beginning of a body as one line of text, for messages. Empty where it is empty or no text.
#[must_use]
pub fn excerpt(body: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(body) else { return String::new() };
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((cut, _)) = line.char_indices().nth(EXCERPT_CHARS_MAX) {
            line.truncate(cut);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_sdk::testing::Host;

    #[test]
    fn statuses_mean_what_the_lists_or_the_default_say() {
        let default = Verdicts::default();
        for (status, verdict) in
            [(204, Verdict::Taken), (400, Verdict::Refused), (422, Verdict::Refused), (302, Verdict::Later)]
        {
            assert_eq!(default.of(status), verdict, "{status}");
        }
        for status in [401, 403, 404, 405, 407, 408, 425, 429, 500, 503] {
            assert_eq!(default.of(status), Verdict::Later, "{status}");
        }
        let list = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let own = Verdicts::parse(Some(&list(&["200-204", "409"])), Some(&list(&["404"]))).expect("lists");
        assert_eq!(
            [own.of(409), own.of(404), own.of(205), own.of(400)],
            [Verdict::Taken, Verdict::Refused, Verdict::Later, Verdict::Later]
        );
        for wrong in ["2xx", "299-200", "100", "600", ""] {
            assert!(Verdicts::parse(Some(&list(&[wrong])), None).expect_err(wrong).contains("is no status"));
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_bounded() {
        let now_ns = 1_777_888_800_000_000_000;
        assert_eq!(retry_after_ms("120", now_ns), Some(120_000));
        assert_eq!(retry_after_ms("Mon, 04 May 2026 10:00:30 GMT", now_ns), Some(30_000));
        assert_eq!(retry_after_ms("Mon, 04 May 2020 10:00:30 GMT", now_ns), Some(0));
        assert_eq!(retry_after_ms("99999999999999999999999999999999999999999999", now_ns), Some(RETRY_AFTER_MAX_MS));
        assert_eq!(retry_after_ms("soon", now_ns), None);
        assert_eq!(retry_after_ms("", now_ns), None);
    }

    #[test]
    fn a_fault_says_what_was_asked_what_came_and_when_to_come_again() {
        let _host = Host::install();
        let headers = vec![("retry-after".to_owned(), "5".to_owned())];
        let fault = retry_fault("POST /x", &Incoming { status: 429, headers, body: Vec::new() }, "too fast");
        assert_eq!(fault.message, "POST /x answered 429: the server asks to send less; it says: too fast");
        assert_eq!((fault.code.as_str(), fault.retry_after_ms), ("status-429", Some(5_000)));
    }

    #[test]
    fn an_excerpt_is_one_bounded_line() {
        assert_eq!(excerpt(b"<p>\r\n  not \x1b[31m here </p>"), "<p> not [31m here </p>");
        assert_eq!(excerpt("ü".repeat(1_000).as_bytes()).chars().count(), 301);
        assert_eq!(excerpt(b"\xff\xfe"), "");
    }
}
