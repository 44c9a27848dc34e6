//! SIGKILL at chosen places of the log's work: strace kills the gateway as it enters a system call, and says which.

use super::ids::Ids;
use super::line::{Line, Setup};
use super::outcome::Outcome;
use super::producer::Load;
use super::strace::{Site, killing};
use super::subject::Start;
use crate::dice::Dice;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Longest time under load until the chosen call comes; then it is tried again.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Tries for each kill that is wanted: other places make the same calls.
const TRIES_A_KILL: u64 = 12;
/// Readings before the first kill: the log is then as large as it may be, so that the quota drops a segment for each new
/// one.
const FILLING: u64 = 24_000;

/// Texts of a kilobyte, so that a thousand rows are a megabyte, and the smallest quota holds few segments.
const SETUP: Setup = Setup {
    load: Load { lanes: 4, per_post: 20, ids: Ids::Texts { bytes: 1000 } },
    log: "commit_max_ms = 5\ncommit_max_rows = 1000\nsegment_max_rows = 1000\nmax_bytes = 16777216",
    ..Setup::SMALL
};

/// Kills so often at each place.
pub(crate) async fn run(kills: u64) -> Result<Vec<Outcome>> {
    let mut line = Line::new(SETUP).await?;
    let mut dice = Dice::from_environment();
    line.producer.allow(FILLING);
    line.subject.start().await?;
    line.producer.wait_acknowledged(FILLING).await;
    line.producer.allow_all();
    let mut hits: BTreeMap<Site, u64> = Site::ALL.into_iter().map(|site| (site, 0)).collect();
    let (mut lives, lives_max) = (0, kills * TRIES_A_KILL * Site::ALL.len() as u64);
    while let Some((&site, _)) = hits.iter().find(|(_, hits)| **hits < kills) {
        lives += 1;
        ensure!(lives <= lives_max, "{lives} tries did not hit each place {kills} times: {hits:?}; wanted {site:?}");
        line.subject.kill().await?;
        let hit = try_at(&mut line, site, &mut dice).await?;
        if let Some(hit) = hit {
            hits.entry(hit).and_modify(|hits| *hits += 1);
        }
        let since = line.mark();
        line.subject.start().await?;
        line.recover(since).await?;
    }
    // Each life ended at a place, or by hand when it did not come; then the next one, before it, by hand.
    let mut outcome = line.finish("failpoints", hits.values().sum(), 2 * lives).await?;
    let hits: Vec<String> = hits.iter().map(|(site, hits)| format!("{} {hits}", site.name())).collect();
    outcome.notes.push(hits.join(", "));
    outcome.notes.push(format!("{} more kills between them", 2 * lives - outcome.trials));
    outcome.notes.push(dice.seed_note());
    Ok(vec![outcome])
}

/// One life of the gateway that is to end at a place. Returns where it ended.
async fn try_at(line: &mut Line, site: Site, dice: &mut Dice) -> Result<Option<Site>> {
    let (log, trace) = (line.subject.site().path("data/log"), line.subject.site().path("strace"));
    let aim = site.aim(&names(&log)?);
    let nth = aim.range.start() + dice.below(aim.range.end() - aim.range.start() + 1);
    let start = line.subject.start_under(&killing(&aim, nth, &log, &trace)?).await?;
    if start == Start::Ready && !line.subject.dies_within(WAIT_MAX).await? {
        line.subject.kill().await?;
        return Ok(None);
    }
    Ok(Site::hit(&std::fs::read_to_string(&trace)?))
}

/// The names of a folder's files, in order.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = entries.collect::<Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}
