//! The gateway's journal: plain lines, JSON lines or the systemd journal, with a level for all and one a connection.

use crate::exit::Exit;
use bulkhead_config::{Config, LogFormat, LogLevel};
use bulkhead_engine::{Follower, RecentLines};
use parking_lot::RwLock;
use std::collections::BTreeMap;
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
    let kept = tracing_subscriber::fmt::layer()
        .with_writer(move || OneLine(Kept(recent.clone())))
        .with_ansi(false)
        .with_target(false)
        .with_filter(levels.clone());
    let registry = Registry::default().with(kept);
    let outcome = match config.logging.format {
        LogFormat::Plain => {
            let plain = tracing_subscriber::fmt::layer()
                .with_writer(|| OneLine(std::io::stderr()))
                .with_ansi(crate::console::stderr_is_coloured())
                .with_target(false);
            registry.with(plain.with_filter(levels)).try_init()
        }
        LogFormat::Json => {
            let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(json.with_filter(levels)).try_init()
        }
        LogFormat::Journald => {
            let journald = tracing_journald::layer().map_err(|error| {
                Exit::failed(format!(
                    "logging.format is \"journald\", but the systemd journal cannot be reached: {error}"
                ))
            })?;
            // `journalctl BULKHEAD_CONNECTION=boiler` shows one connection's lines.
            let journald = journald.with_field_prefix(Some("BULKHEAD".to_owned()));
            registry.with(journald.with_filter(levels)).try_init()
        }
    };
    outcome.map_err(|error| Exit::failed(format!("the journal cannot be started: {error}")))?;
    Ok(journal)
}

/// Puts each event into the lines that are kept.
struct Kept(RecentLines);

impl std::io::Write for Kept {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        self.0.push(&String::from_utf8_lossy(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A quiet journal for commands that print their own results: warnings and errors on stderr.
pub(crate) fn start_quiet() {
    let plain = tracing_subscriber::fmt::layer()
        .with_writer(|| OneLine(std::io::stderr()))
        .with_ansi(crate::console::stderr_is_coloured())
        .with_target(false)
        .without_time();
    // A journal that is running already serves as well.
    _ = Registry::default().with(plain.with_filter(LevelFilter::ERROR)).try_init();
}

/// Writes each event as one line: texts of devices, adapters and upstreams can hold line ends, which must not pretend to
/// be lines of ours. The formatter hands an event over in one piece.
struct OneLine<W>(W);

impl<W: std::io::Write> std::io::Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let (text, end) = match event.strip_suffix(b"\n") {
            Some(text) => (text, &b"\n"[..]),
            None => (event, &b""[..]),
        };
        // Escape begins the colours that the formatter itself adds.
        let is_kept = |byte: u8| byte >= b' ' || byte == 0x1b;
        let mut line: Vec<u8> = text.iter().map(|&byte| if is_kept(byte) { byte } else { b' ' }).collect();
        line.extend_from_slice(end);
        self.0.write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// The least important level of each connection's lines, and of all others.
#[derive(Clone)]
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
    fn an_event_stays_one_line() {
        use std::io::Write;
        let mut written = Vec::new();
        OneLine(&mut written).write_all(b"WARN topic a\nERROR forged\r\n").unwrap();
        assert_eq!(written, b"WARN topic a ERROR forged \n");
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
