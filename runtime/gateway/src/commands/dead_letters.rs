//! `bulkhead dead-letters`: what could not be delivered, looked at and dealt with through the running gateway.

use super::client::GatewayClient;
use super::load_config;
use crate::cli::{DeadLettersCommand, LettersArguments, ListLettersArguments, ShowLetterArguments};
use crate::exit::Exit;
use crate::{console, journal};
use base64::Engine as _;
use bulkhead_model::printable;
use reqwest::Method;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Longest wait for an answer: replaying many takes up to half a minute and the last of them as long again.
const ANSWER_MAX: Duration = Duration::from_secs(75);
/// Letters asked for at a time.
const PAGE_LETTERS: usize = 500;
/// Bytes in a line of a hex dump.
const DUMP_LINE_BYTES: usize = 16;

pub(crate) async fn dead_letters(command: &DeadLettersCommand) -> Result<(), Exit> {
    journal::start_quiet();
    match command {
        DeadLettersCommand::List(arguments) => list(arguments).await,
        DeadLettersCommand::Show(arguments) => show(arguments).await,
        DeadLettersCommand::Replay(arguments) => replay(arguments).await,
        DeadLettersCommand::Discard(arguments) => discard(arguments).await,
    }
}

async fn list(arguments: &ListLettersArguments) -> Result<(), Exit> {
    let config = load_config(&arguments.config.config)?;
    let running = GatewayClient::new(&config, ANSWER_MAX)?;
    let mut letters: Vec<Json> = Vec::new();
    let mut before = arguments.before.map(|before| before.to_string());
    let limit = usize::from(arguments.limit);
    loop {
        let page = PAGE_LETTERS.min(limit - letters.len()).to_string();
        let mut request = running.request(Method::GET, &["api", "v1", "dead-letters"])?.query(&[("limit", &page)]);
        let filters = [("route", &arguments.route), ("connection", &arguments.connection), ("before", &before)];
        for (name, value) in filters {
            if let Some(value) = value {
                request = request.query(&[(name, value)]);
            }
        }
        let mut answer = running.must_answer(request).await?.done()?;
        if let Json::Array(page) = answer["dead_letters"].take() {
            letters.extend(page);
        }
        before = answer["next"].as_str().map(str::to_owned);
        if before.is_none() || letters.len() >= limit {
            break;
        }
    }
    if arguments.json {
        console::say_json(&letters)?;
        return Ok(());
    }
    if letters.is_empty() {
        console::say("no dead letters");
        return Ok(());
    }
    console::say_lines(&console::table(
        ["number", "from", "what", "tries", "tried at", "error"],
        letters.iter().map(row),
    ));
    if let Some(before) = before {
        console::note(&format!("there are more: --before {before}"));
    }
    Ok(())
}

fn text<'a>(letter: &'a Json, member: &str) -> &'a str {
    letter[member].as_str().unwrap_or_default()
}

fn row(letter: &Json) -> [String; 6] {
    let (from, what) = match text(letter, "kind") {
        "frame" => (format!("connection {}", text(letter, "connection")), frame_name(letter)),
        _ => (format!("route {}", text(letter, "route")), reading_name(letter)),
    };
    let error = format!("{}: {}", text(letter, "code"), shortened(text(letter, "message")));
    [letter["id"].to_string(), from, what, letter["tries"].to_string(), text(letter, "tried_at").to_owned(), error]
}

fn reading_name(letter: &Json) -> String {
    format!("{}/{} seq {}", text(letter, "connection"), text(letter, "point"), letter["seq"])
}

fn frame_name(letter: &Json) -> String {
    let topic = text(letter, "topic");
    let from = if topic.is_empty() { text(letter, "transport") } else { topic };
    format!("{from}, {} bytes", letter["payload_bytes"])
}

/// The first line of a text, not too long for a table.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 80;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

async fn show(arguments: &ShowLetterArguments) -> Result<(), Exit> {
    let config = load_config(&arguments.config.config)?;
    let running = GatewayClient::new(&config, ANSWER_MAX)?;
    let number = arguments.letter.to_string();
    let request = running.request(Method::GET, &["api", "v1", "dead-letters", &number])?;
    let letter = running.must_answer(request).await?.done()?;
    match arguments.json {
        true => console::say_json(&letter)?,
        false => console::say_lines(&whole(&letter)),
    }
    Ok(())
}

/// A letter for people: each member on a line, a frame's bytes as a dump.
fn whole(letter: &Json) -> String {
    let members = letter.as_object().into_iter().flatten().filter(|(name, _)| *name != "payload");
    let mut shown = members.fold(String::new(), |mut shown, (name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        _ = writeln!(shown, "{}: {}", printable(name), printable(&value));
        shown
    });
    if let Some(payload) = letter["payload"].as_str() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(payload).unwrap_or_default();
        shown.push_str(&dump(&bytes));
    }
    shown.trim_end().to_owned()
}

/// Bytes as lines of an offset, hexadecimal digits and what of them is readable.
fn dump(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for (index, line) in bytes.chunks(DUMP_LINE_BYTES).enumerate() {
        let digits: String = line.iter().map(|byte| format!("{byte:02x} ")).collect();
        let readable: String = line
            .iter()
            .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
            .collect();
        _ = writeln!(
            shown,
            "{:08x}  {digits:<width$} {readable}",
            index * DUMP_LINE_BYTES,
            width = DUMP_LINE_BYTES * 3
        );
    }
    shown
}

/// Sends a request for all letters of an origin.
async fn of_origin(
    running: &GatewayClient<'_>,
    method: Method,
    path: &[&str],
    which: &LettersArguments,
) -> Result<Json, Exit> {
    let mut request = running.request(method, path)?;
    for (name, value) in [("route", &which.route), ("connection", &which.connection)] {
        if let Some(value) = value {
            request = request.query(&[(name, value)]);
        }
    }
    running.must_answer(request).await?.done()
}

async fn replay(arguments: &LettersArguments) -> Result<(), Exit> {
    let config = load_config(&arguments.config.config)?;
    let running = GatewayClient::new(&config, ANSWER_MAX)?;
    if arguments.letters.is_empty() {
        return replay_all(&running, arguments).await;
    }
    let mut outcomes = Vec::new();
    for letter in &arguments.letters {
        let request = running.request(Method::POST, &["api", "v1", "dead-letters", &letter.to_string(), "replay"])?;
        let answer = console::while_waiting("replaying", running.must_answer(request)).await?;
        outcomes.push((*letter, answer.outcome().err()));
    }
    say_each(&outcomes, "taken and removed", arguments.json)
}

async fn replay_all(running: &GatewayClient<'_>, arguments: &LettersArguments) -> Result<(), Exit> {
    let mut taken = 0;
    // A request ends after some time; as long as it gets on, the next goes on.
    let mut last = loop {
        let request = of_origin(running, Method::POST, &["api", "v1", "dead-letters", "replay"], arguments);
        let answer = console::while_waiting("replaying", request).await?;
        let now = answer["taken"].as_u64().unwrap_or(0);
        taken += now;
        if now == 0 || answer["kept"].as_u64() == Some(0) || answer["refused"].as_u64() > Some(0) {
            break answer;
        }
    };
    last["taken"] = taken.into();
    let kept = last["kept"].as_u64().unwrap_or(0);
    if arguments.json {
        console::say_json(&last)?;
    } else {
        console::say(&format!("{taken} taken and removed, {kept} left"));
    }
    match (kept, last["stopped"].as_str()) {
        (0, _) => Ok(()),
        (_, Some(reason)) => Err(Exit::failed(format!("{kept} dead letters are left: {reason}"))),
        (_, None) => Err(Exit::failed(format!("{kept} dead letters were refused again"))),
    }
}

async fn discard(arguments: &LettersArguments) -> Result<(), Exit> {
    let config = load_config(&arguments.config.config)?;
    let running = GatewayClient::new(&config, ANSWER_MAX)?;
    if arguments.letters.is_empty() {
        let answer = of_origin(&running, Method::DELETE, &["api", "v1", "dead-letters"], arguments).await?;
        match arguments.json {
            true => console::say_json(&answer)?,
            false => console::say(&format!("{} discarded", answer["discarded"])),
        }
        return Ok(());
    }
    let mut outcomes = Vec::new();
    for letter in &arguments.letters {
        let request = running.request(Method::DELETE, &["api", "v1", "dead-letters", &letter.to_string()])?;
        outcomes.push((*letter, running.must_answer(request).await?.outcome().err()));
    }
    say_each(&outcomes, "discarded", arguments.json)
}

/// Says what became of each letter; those that failed make the exit code.
fn say_each(outcomes: &[(u64, Option<String>)], done: &str, as_json: bool) -> Result<(), Exit> {
    if as_json {
        let each =
            |(letter, error): &(u64, Option<String>)| json!({ "id": letter, "done": error.is_none(), "error": error });
        console::say_json(&outcomes.iter().map(each).collect::<Vec<_>>())?;
    } else {
        for (letter, error) in outcomes {
            console::say(&format!("{letter}: {}", error.as_deref().unwrap_or(done)));
        }
    }
    match outcomes.iter().filter(|(_, error)| error.is_some()).count() {
        0 => Ok(()),
        failed => Err(Exit::failed(format!("{failed} of {} could not be {done}", outcomes.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_dumped_with_what_of_them_can_be_read() {
        let shown = dump(b"{\"t\": 1}\x00\xff 0123456789");
        assert_eq!(
            shown,
            "00000000  7b 22 74 22 3a 20 31 7d 00 ff 20 30 31 32 33 34  {\"t\": 1}.. 01234\n\
             00000010  35 36 37 38 39                                   56789\n"
        );
    }

    #[test]
    fn a_text_of_an_upstream_makes_no_member_of_its_own() {
        let letter = json!({ "error": "no\nstate: delivered\u{2028}x", "id": 7 });
        assert_eq!(whole(&letter), "error: no state: delivered x\nid: 7");
    }

    #[test]
    fn a_letter_is_told_in_one_line() {
        let reading = json!({
            "id": 7, "kind": "reading", "route": "up", "connection": "boiler", "point": "flow", "seq": 9, "tries": 1,
            "tried_at": "2026-01-31T08:30:00Z", "code": "status-400", "message": "first\nsecond",
        });
        assert_eq!(
            row(&reading),
            ["7", "route up", "boiler/flow seq 9", "1", "2026-01-31T08:30:00Z", "status-400: first"].map(str::to_owned)
        );
        let frame = json!({ "id": 8, "kind": "frame", "connection": "line", "topic": "", "transport": "scale", "payload_bytes": 3 });
        assert_eq!(row(&frame)[1..3], ["connection line", "scale, 3 bytes"].map(str::to_owned));
    }
}
