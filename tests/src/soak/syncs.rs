//! That a commit is synced: the syncs of the open segment's WAL, as strace sees them, against the commits that the
//! gateway counts.

use super::line::{Line, Setup};
use super::outcome::{Outcome, grouped};
use super::strace::watching;
use super::subject::Start;
use crate::wait::PATIENCE;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// Readings acknowledged between two looks at the count of commits.
const LOOK_EVERY: u64 = 500;
/// Longest time of a commit that is waited for.
const COMMIT_MAX: Duration = Duration::from_millis(100);

/// So many commits, or a few more.
pub(crate) async fn run(commits: u64) -> Result<Outcome> {
    let mut line = Line::new(Setup::SMALL).await?;
    let trace = line.subject.site().path("strace");
    let start = line.subject.start_under(&watching("fsync,fdatasync", &trace)?).await?;
    ensure!(start == Start::Ready, "the gateway ended while it started; {}", line.subject.situation());
    line.producer.allow_all();
    let api = line.subject.api()?;
    let enough = async {
        while counted(&api.get("/metrics").await?.1)? < commits {
            line.producer.wait_acknowledged(line.producer.acknowledged() + LOOK_EVERY).await;
        }
        anyhow::Ok(())
    };
    let longest = PATIENCE + COMMIT_MAX * u32::try_from(commits)?;
    tokio::time::timeout(longest, enough).await.with_context(|| line.subject.situation())??;
    let mut outcome = line.finish("syncs", commits, 0).await?;
    let commits = counted(&api.get("/metrics").await?.1)?;
    line.subject.terminate().await?;
    let synced = synced(&std::fs::read_to_string(&trace)?);
    outcome.check(synced >= commits, || format!("{synced} syncs of the log's WAL for {commits} commits"));
    outcome.trials = commits;
    outcome.notes.push(format!("{} syncs of the WAL for {} commits", grouped(synced), grouped(commits)));
    Ok(outcome)
}

/// Commits of the log since the start.
fn counted(metrics: &str) -> Result<u64> {
    let line = metrics.lines().find(|line| line.starts_with("bulkhead_log_commits_total "));
    let value = line.and_then(|line| line.split(' ').nth(1)).context("no count of commits in the metrics")?;
    Ok(value.parse::<f64>()? as u64)
}

/// Syncs of open segments' WALs that strace has seen succeed.
fn synced(trace: &str) -> u64 {
    let of_wal = |line: &&str| line.contains("sync(") && line.contains(".open.db-wal>");
    // A call during which another thread made one is on two lines; how it ended is then on the other.
    trace.lines().filter(of_wal).filter(|line| line.ends_with("= 0") || line.ends_with("<unfinished ...>")).count()
        as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_of_the_wal_are_counted_and_no_others() {
        let trace = "1 fsync(9</d/seg-1.open.db-wal>) = 0\n1 fdatasync(9</d/seg-1.open.db-wal> <unfinished ...>\n\
                     2 fsync(8</d/state.db-wal>) = 0\n1 <... fdatasync resumed>) = 0\n\
                     1 fsync(9</d/seg-1.open.db-wal>) = -1 EIO (Input/output error)\n";
        assert_eq!(synced(trace), 2);
        assert_eq!(counted("a 1\nbulkhead_log_commits_total 12\n").unwrap(), 12);
    }
}
