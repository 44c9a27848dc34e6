//! `bulkhead support-bundle`: what somebody needs who is to help with a gateway, in one file. From the running gateway
//! where there is one: how its connections and routes are, its metrics, its journal's last lines. In any case: the config
//! without its secrets, what `check` says of it, the files of the data folder, versions and platform. No readings.

mod archive;
mod place;

use super::client::{ANSWER_MAX, GatewayClient, moment_for_names};
use crate::cli::SupportBundleArguments;
use crate::exit::Exit;
use crate::{console, journal};
use archive::Archive;
use bulkhead_config::{Config, redacted};
use std::path::{Path, PathBuf};

/// What is asked of a running gateway, and under which name it goes into the bundle.
const ASKED: [(&str, &str); 10] = [
    ("/api/v1/connections", "connections.json"),
    ("/api/v1/log", "log.json"),
    ("/api/v1/gaps", "gaps.json"),
    ("/api/v1/routes", "routes.json"),
    ("/api/v1/points?limit=10000", "points.json"),
    ("/api/v1/backup", "backup.json"),
    ("/metrics", "metrics.txt"),
    ("/healthz", "healthz.json"),
    ("/readyz", "readyz.json"),
    ("/api/v1/journal", "journal.txt"),
];

pub(crate) async fn support_bundle(arguments: &SupportBundleArguments) -> Result<(), Exit> {
    journal::start_quiet();
    let config_file = &arguments.config.config;
    let text = std::fs::read_to_string(config_file)
        .map_err(|error| Exit::failed(format!("the config {} cannot be read: {error}", config_file.display())))?;
    let schemas = bulkhead_engine::schemas_in();
    let covered = redacted(&text, config_file, &schemas);
    let moment = moment_for_names();
    let folder = format!("bulkhead-support-{moment}");
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{folder}.tar.gz")));
    let now_s = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    let mut archive = Archive::create(&output, &folder, now_s, &covered)?;
    let filled = async {
        archive.add("config.toml", &covered.text)?;
        let (said, config) = match bulkhead_config::parse(&text, config_file, &schemas) {
            Ok(loaded) => (loaded.warnings.plain(), Some(loaded.config)),
            Err(diagnostics) => (diagnostics.plain(), None),
        };
        archive.add("check.txt", if said.is_empty() { "the config is right\n" } else { &said })?;
        let source = match &config {
            Some(config) => through_gateway(config, &mut archive).await?,
            None => "the config is wrong, so the gateway could not be looked for".to_owned(),
        };
        archive.add("about.txt", &place::about(&moment, &source))?;
        if let Some(config) = &config {
            archive.add("files.txt", &place::files(config))?;
        }
        Ok(source)
    };
    let source = match filled.await {
        Ok(source) => source,
        Err(error) => {
            // Half a bundle would pass for a whole one.
            _ = std::fs::remove_file(&output);
            return Err(error);
        }
    };
    let written = std::mem::take(&mut archive.written);
    archive.finish()?;
    tell(&output, &source, &written, covered.inline, covered.references.len());
    Ok(())
}

/// Asks the running gateway for everything. Returns where it came from, for people.
async fn through_gateway(config: &Config, archive: &mut Archive<'_>) -> Result<String, Exit> {
    let listen = config.api.listen;
    let client = GatewayClient::new(config, ANSWER_MAX)?;
    for (path, name) in ASKED {
        // One question that cannot be answered may be the very fault: the others are asked all the same.
        let text = match client.get(path).await {
            Ok(Some(answer)) if name == "journal.txt" => journal_lines(&answer.body),
            Ok(Some(answer)) if answer.is_good() => answer.body,
            Ok(Some(answer)) => format!("answered {}:\n{}\n", answer.status, answer.body),
            Ok(None) => return Ok(format!("no gateway ran at {listen}")),
            Err(Exit::Failed(reason)) => format!("not answered: {reason}\n"),
            Err(other) => return Err(other),
        };
        archive.add(name, &text)?;
    }
    Ok(format!("the gateway at {listen} was asked"))
}

/// The lines of the journal as they were written; whatever else was answered as it is.
fn journal_lines(body: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let lines = parsed.as_ref().and_then(|answer| answer["lines"].as_array());
    let joined = lines.map(|lines| lines.iter().filter_map(|line| line.as_str()).fold(String::new(), with_line));
    joined.unwrap_or_else(|| body.to_owned())
}

fn with_line(mut text: String, line: &str) -> String {
    text.push_str(line);
    text.push('\n');
    text
}

fn tell(output: &Path, source: &str, written: &[(String, usize)], inline: usize, references: usize) {
    let rows = written.iter().map(|(name, bytes)| [name.clone(), format!("{bytes} bytes")]);
    console::say_lines(&console::table(["in it", "length"], rows));
    console::say(&format!("{}: {source}", output.display()));
    console::say(&format!(
        "covered: {} of the config itself and {references} from files or variables, wherever they stood; readings are \
         not in it. Look through it before you send it.",
        console::counted(inline as u64, "secret")
    ));
}
