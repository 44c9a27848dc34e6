//! The gateway's journal: plain lines, JSON lines or the systemd journal, with a level for all and one a connection.

use crate::exit::Exit;
use bulkhead_config::{Config, LogFormat, LogLevel};
use bulkhead_engine::{Follower, RecentLines};
use bulkhead_model::{escaped_json, printable, scrubbed};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// A running journal.
pub(crate) struct Journal {
    /// Its last lines, which are kept in memory.
    pub(crate) recent: RecentLines,
    /// Its levels, which can follow the config.
    pub(crate) levels: LiveLevels,
}

/// The levels of a running journal, which follow the config.
pub(crate) struct LiveLevels(SharedLevels);

impl Follower for LiveLevels {
    fn check(&self, _: &Config) -> Result<(), String> {
        Ok(())
    }

    fn follow(&self, config: &Config) {
        *self.0.0.write() = Levels::of(config);
        // What each line's place remembers of its level, and the level beyond which nothing is looked at, are found anew.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Starts the journal as a config asks for it. Lines go to stderr, or to the systemd journal; the last ones are kept in
/// memory as well.
pub(crate) fn start(config: &Config) -> Result<Journal, Exit> {
    let levels = SharedLevels(Arc::new(RwLock::new(Levels::of(config))));
    let recent = RecentLines::default();
    let journal = Journal { recent: recent.clone(), levels: LiveLevels(levels.clone()) };
    let kept = recent;
    let outcome = match config.logging.format {
        LogFormat::Plain => {
            let is_coloured = crate::console::stderr_is_coloured();
            let plain = tracing_subscriber::fmt::layer()
                .with_writer(move || OneLine { to: Both(std::io::stderr(), kept.clone()), is_coloured })
                .with_ansi(is_coloured)
                .with_target(false);
            Registry::default().with(plain.with_filter(levels)).try_init()
        }
        LogFormat::Json => {
            let both = move || JsonLine(Both(std::io::stderr(), kept.clone()));
            let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(both);
            Registry::default().with(json.with_filter(levels)).try_init()
        }
        LogFormat::Journald => {
            let journald = tracing_journald::layer().map_err(|error| {
                Exit::failed(format!(
                    "logging.format is \"journald\", but the systemd journal cannot be reached: {error}"
                ))
            })?;
            // `journalctl BULKHEAD_CONNECTION=boiler` shows one connection's lines.
            let journald = journald.with_field_prefix(Some("BULKHEAD".to_owned()));
            let both = journald.and_then(KeptEvents(kept));
            Registry::default().with(both.with_filter(levels)).try_init()
        }
    };
    outcome.map_err(|error| Exit::failed(format!("the journal cannot be started: {error}")))?;
    Ok(journal)
}

/// Writes each event to stderr and into the lines that are kept, there without colours.
struct Both(std::io::Stderr, RecentLines);

impl std::io::Write for Both {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        self.1.push(&without_colours(&String::from_utf8_lossy(event)));
        self.0.write_all(event)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// A text without the sequences that set colours (ECMA-48: escape, `[`, digits and `;`, a letter).
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|character: char| character.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    plain
}

/// Keeps events as lines beside the systemd journal, which takes them as fields.
struct KeptEvents(RecentLines);

impl<S: Subscriber> Layer<S> for KeptEvents {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Fields(format!("{} {}", jiff::Timestamp::now(), event.metadata().level()));
        event.record(&mut line);
        self.0.push(&printable(&line.0));
    }
}

/// The fields of an event behind each other, the message without its name.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a text does not fail.
        _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

/// A quiet journal for commands that print their own results: warnings and errors on stderr.
pub(crate) fn start_quiet() {
    let is_coloured = crate::console::stderr_is_coloured();
    let plain = tracing_subscriber::fmt::layer()
        .with_writer(move || OneLine { to: std::io::stderr(), is_coloured })
        .with_ansi(is_coloured)
        .with_target(false)
        .without_time();
    // A journal that is running already serves as well.
    _ = Registry::default().with(plain.with_filter(LevelFilter::ERROR)).try_init();
}

/// Writes each event as one line: texts of devices, adapters, upstreams and clients can hold line ends, which must not pretend to
/// be lines of ours, and marks that turn the direction of writing. The formatter hands an event over in one piece.
struct OneLine<W> {
    to: W,
    /// Whether the formatter itself adds colours, which begin with ESC; those of others it has escaped.
    is_coloured: bool,
}

impl<W: std::io::Write> std::io::Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
        let line = scrubbed(text, |character| self.is_coloured && character == '\u{1b}') + end;
        self.to.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// Writes each event, a JSON object, with escapes for what a terminal would obey; the formatter escapes line ends only.
struct JsonLine<W>(W);

impl<W: std::io::Write> std::io::Write for JsonLine<W> {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(escaped_json(&String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// The least important level of each connection's lines, and of all others.
struct Levels {
    general: Level,
    connections: BTreeMap<String, Level>,
    most: LevelFilter,
}

impl Levels {
    fn of(config: &Config) -> Self {
        let general = level(config.logging.level);
        let connections: BTreeMap<String, Level> = config
            .connections
            .iter()
            .filter_map(|(name, connection)| Some((name.clone(), level(connection.log_level?))))
            .collect();
        let most = connections.values().copied().chain([general]).max().unwrap_or(general);
        Self { general, connections, most: LevelFilter::from_level(most) }
    }

    fn lets_through(&self, level: Level, connection: Option<&str>) -> bool {
        level <= connection.and_then(|name| self.connections.get(name)).copied().unwrap_or(self.general)
    }
}

/// Levels that can be replaced while lines are written.
#[derive(Clone)]
struct SharedLevels(Arc<RwLock<Levels>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for SharedLevels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        let ours = metadata.target().starts_with("bulkhead");
        // Libraries have no connection, and their details are theirs.
        *metadata.level() <= if ours { self.0.read().most } else { LevelFilter::WARN }
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut connection = ConnectionField(None);
        event.record(&mut connection);
        self.0.read().lets_through(*event.metadata().level(), connection.0.as_deref())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.read().most)
    }
}

/// The field `connection` of a line.
struct ConnectionField(Option<String>);

impl Visit for ConnectionField {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "connection" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "connection" {
            self.0 = Some(format!("{value:?}").trim_matches('"').to_owned());
        }
    }
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_lines_have_no_colours() {
        assert_eq!(
            without_colours("\u{1b}[2m2026\u{1b}[0m \u{1b}[38;5;1mERROR\u{1b}[0m [x] é\n"),
            "2026 ERROR [x] é\n"
        );
        assert_eq!(without_colours("plain [1m"), "plain [1m");
        assert_eq!(without_colours("cut \u{1b}[3"), "cut ");
    }

    #[test]
    fn events_beside_the_systemd_journal_are_kept_as_lines() {
        let recent = RecentLines::default();
        let subscriber = Registry::default().with(KeptEvents(recent.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(connection = "press", code = 7, "no\nanswer\u{202e}")
        });
        let lines = recent.all();
        assert!(lines[0].ends_with(" WARN no answer  connection=\"press\" code=7"), "{lines:?}");
    }

    #[test]
    fn an_event_stays_one_line() {
        use std::io::Write;
        let written = |is_coloured, event: &str| {
            let mut written = Vec::new();
            OneLine { to: &mut written, is_coloured }.write_all(event.as_bytes()).unwrap();
            String::from_utf8(written).unwrap()
        };
        assert_eq!(written(false, "WARN topic a\nERROR forged\r\n"), "WARN topic a ERROR forged \n");
        assert_eq!(written(false, "GET /a\u{202e}gnp.exe\u{9b}2J\u{1b}[2J was\n"), "GET /a gnp.exe 2J [2J was\n");
        assert_eq!(written(true, "\u{1b}[31mERROR\u{1b}[0m a\u{2067}b\n"), "\u{1b}[31mERROR\u{1b}[0m a b\n");
        let mut json = Vec::new();
        JsonLine(&mut json).write_all("{\"path\":\"/a\u{202e}b\u{7f}\"}\n".as_bytes()).unwrap();
        assert_eq!(json, b"{\"path\":\"/a\\u202eb\\u007f\"}\n");
    }

    #[test]
    fn a_connections_own_level_goes_before_the_general_one() {
        let text = "[logging]\nlevel = \"warn\"\n[connections.boiler]\nadapter = \"a\"\nlog_level = \"debug\"";
        let config = bulkhead_config::parse(text, "g.toml".as_ref(), &bulkhead_config::AnyAdapter).unwrap().config;
        let levels = Levels::of(&config);
        assert!(levels.lets_through(Level::DEBUG, Some("boiler")));
        assert!(!levels.lets_through(Level::DEBUG, Some("scale")) && !levels.lets_through(Level::INFO, None));
        assert_eq!(levels.most, LevelFilter::DEBUG);
    }
}
