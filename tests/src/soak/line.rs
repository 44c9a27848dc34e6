//! The whole line under test: a source that knows what it sent, the gateway, a sink that keeps what it got, and the
//! oracle that compares the two.

use super::ids::Ids;
use super::oracle::{Allowance, Findings, judge};
use super::outcome::{Outcome, millis};
use super::producer::{Load, Producer};
use super::sink::Sink;
use super::subject::Subject;
use crate::api::Route;
use crate::http_sink::prompt_route;
use crate::wait::{until, within};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Within this time after a fault is over readings must be acknowledged and accepted again.
pub(crate) const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// How the gateway is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) load: Load,
    /// Readings of a batch to the sink.
    pub(crate) batch_max: u64,
    /// Further keys of the section `log`.
    pub(crate) log: &'static str,
    /// Further keys of the sink's transport.
    pub(crate) transport: &'static str,
}

impl Setup {
    /// Small segments and batches, so that a short time has many of each event.
    pub(crate) const SMALL: Self = Self {
        load: Load { lanes: 8, per_post: 25, ids: Ids::Numbers },
        batch_max: 200,
        log: "commit_max_ms = 5\ncommit_max_rows = 1000\nsegment_max_rows = 1000",
        transport: "",
    };

    fn config(&self, source: &str, sink: &str) -> String {
        format!("[log]\n{}\n\n{source}\n{sink}\n{}", self.log, route(self.batch_max))
    }
}

/// The line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) producer: Producer,
    pub(crate) subject: Subject,
    pub(crate) sink: Sink,
    setup: Setup,
    longest_recovery: Option<Duration>,
}

/// How far both ends were at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    acknowledged: u64,
    accepted: u64,
    at: Instant,
}

impl Mark {
    pub(crate) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }
}

impl Line {
    /// Everything but the running gateway, and the source silent.
    pub(crate) async fn new(setup: Setup) -> Result<Self> {
        let sink = Sink::start(setup.load.ids).await?;
        let subject = Subject::new(&setup.config(&setup.load.connection(), &sink.connection(setup.transport)))?;
        let producer = Producer::start(setup.load, &subject.url())?;
        Ok(Self { producer, subject, sink, setup, longest_recovery: None })
    }

    /// How far both ends are now.
    pub(crate) fn mark(&self) -> Mark {
        let accepted = self.sink.upstream.stats().accepted;
        Mark { acknowledged: self.producer.acknowledged(), accepted, at: Instant::now() }
    }

    /// Waits until more is acknowledged and more accepted than at a mark, and keeps how long that took from then on.
    pub(crate) async fn recover(&mut self, since: Mark) -> Result<Duration> {
        let progress = async {
            let accepted = self.sink.upstream.wait_until(|stats| stats.accepted > since.accepted);
            tokio::join!(self.producer.wait_acknowledged(since.acknowledged + 1), accepted);
        };
        within("the line to flow again", progress).await.with_context(|| self.subject.situation())?;
        let took = since.at.elapsed();
        self.longest_recovery = self.longest_recovery.max(Some(took));
        Ok(took)
    }

    /// Stops the source, waits until the sink has everything, and compares.
    pub(crate) async fn finish(&mut self, fault: &str, trials: u64, batches: u64) -> Result<Outcome> {
        let sent = self.producer.finish().await.with_context(|| self.subject.situation())?;
        self.drained().await?;
        let allowance = Allowance::batches(batches, self.setup.batch_max);
        let findings = judge(&sent, self.sink.collect());
        let mut outcome = outcome(fault, trials, &findings, &allowance);
        outcome.recovered(self.longest_recovery);
        Ok(outcome)
    }

    /// Waits until the route has no backlog.
    pub(crate) async fn drained(&self) -> Result<()> {
        drained(&self.subject).await
    }
}

/// Waits until the route `up` has no backlog.
pub(crate) async fn drained(subject: &Subject) -> Result<()> {
    route_is(subject, "the route to have no backlog", |route| route.backlog == 0).await
}

/// Waits until the route `up` is as wanted.
pub(crate) async fn route_is(subject: &Subject, what: &str, is_wanted: impl Fn(&Route) -> bool) -> Result<()> {
    let api = subject.api()?;
    let look = async || {
        let route = api.route("up").await?;
        Ok(if is_wanted(&route) { Ok(()) } else { Err(format!("{route:?}")) })
    };
    until(what, look).await.with_context(|| subject.situation())
}

/// The route `up` from a connection `source` to the connection `sink`.
pub(crate) fn route(batch_max: u64) -> String {
    prompt_route("up", "source/*", "sink", &format!("batch_max_readings = {batch_max}"))
}

/// A row from what the oracle found.
pub(crate) fn outcome(fault: &str, trials: u64, findings: &Findings, allowance: &Allowance) -> Outcome {
    Outcome {
        fault: fault.to_owned(),
        trials,
        acknowledged: findings.acknowledged,
        lost: findings.lost + findings.corrupt + findings.invented,
        duplicates: findings.duplicates,
        duplicates_by_key: findings.keyless_duplicates,
        redelivered: findings.redelivered,
        longest_recovery_ms: None,
        notes: Vec::new(),
        broken: findings.broken(allowance),
    }
}

impl Outcome {
    /// Notes the longest recovery, and that it was too long.
    pub(crate) fn recovered(&mut self, longest: Option<Duration>) {
        self.longest_recovery_ms = longest.map(millis);
        self.check(longest.is_none_or(|longest| longest <= RECOVERY_MAX), || {
            format!("it took more than {} s until readings flowed again", RECOVERY_MAX.as_secs())
        });
    }

    /// Notes what is broken unless it holds.
    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(what());
        }
    }
}
