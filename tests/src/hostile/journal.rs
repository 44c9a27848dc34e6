//! What the gateway's journal says of a hostile connection: when an act began, and when and how it ended.

use std::time::Duration;

/// When a line was written, in microseconds since the epoch, if it begins with a time.
fn moment_us(line: &str) -> Option<i64> {
    let (time, _) = line.split_once(' ')?;
    Some(time.parse::<jiff::Timestamp>().ok()?.as_microsecond())
}

/// The longest act of a hostile connection so far: from a line in which it says that it begins to the one that tells of its end.
pub(super) fn longest_act(lines: &[String], connection: &str) -> Option<Duration> {
    let name = format!("connection=\"{connection}\"");
    let mut began = None;
    let mut longest = None;
    for line in lines.iter().filter(|line| line.contains(&name)) {
        let Some(time) = moment_us(line) else { continue };
        if line.contains(" begins ") {
            began = Some(time);
        } else if ENDS.iter().any(|end| line.contains(end)) {
            let took = began.take().and_then(|began| u64::try_from(time - began).ok()).map(Duration::from_micros);
            longest = longest.max(took);
        }
    }
    longest
}

/// What the lines contain that tell of an act's end.
const ENDS: [&str; 2] = ["the adapter crashed", "the adapter did not finish in time"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_lasts_from_its_beginning_to_the_line_that_tells_of_its_end() {
        let lines = [
            "2026-11-22T07:00:00.000000Z  INFO begins connection=\"bad\" device=\"\"",
            "2026-11-22T07:00:00.100000Z  INFO begins connection=\"other\" device=\"\"",
            "2026-11-22T07:00:00.203000Z  WARN the adapter did not finish in time (it …) connection=\"bad\" code=\"deadline\"",
            "2026-11-22T07:00:01.000000Z  INFO begins connection=\"bad\" device=\"\"",
            "2026-11-22T07:00:01.002000Z  WARN the adapter crashed: … connection=\"bad\" code=\"trap\"",
        ]
        .map(str::to_owned);
        assert_eq!(longest_act(&lines, "bad"), Some(Duration::from_millis(203)));
        assert_eq!(longest_act(&lines, "good"), None);
    }
}
