//! mosquitto restarted under a stream of QoS 1 messages, keeping its sessions on disk or forgetting them.
//!
//! With sessions on disk the gateway's session goes on: what was published while it was away, and what it had not
//! acknowledged, comes when it is back, and nothing may be lost. A broker that forgets its sessions loses by itself what it
//! has acknowledged to the publisher and not delivered, and what is published before the gateway has subscribed again:
//! no client can get that back. What is left to promise, and tested: what the gateway acknowledged is there, it subscribes
//! anew by itself, and what comes from then on is there too. So in that half the stream is silent while the broker
//! restarts, and goes on when the gateway's subscription stands in the broker's log.

use super::ids::Ids;
use super::line::{RECOVERY_MAX, drained, outcome, route};
use super::oracle::{Allowance, judge};
use super::outcome::Outcome;
use super::publisher::Publisher;
use super::sink::Sink;
use super::subject::Subject;
use crate::mosquitto::{Mosquitto, MosquittoListener};
use crate::wait::within;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Messages published before each restart, and again after it.
const PUBLISHED: u64 = 500;
const BATCH_MAX: u64 = 200;
const IDS: Ids = Ids::Numbers;
/// The gateway's client id.
const GATEWAY: &str = "bulkhead-bulkhead-source-broker";

/// So many restarts of each kind.
pub(crate) async fn run(restarts: u64) -> Result<Vec<Outcome>> {
    Ok(vec![with_sessions(restarts).await?, without_sessions(restarts).await?])
}

struct Stage {
    broker: Mosquitto,
    publisher: Publisher,
    subject: Subject,
    sink: Sink,
    published: u64,
    longest: Duration,
}

impl Stage {
    async fn new(broker: Mosquitto) -> Result<Self> {
        let sink = Sink::start(IDS).await?;
        let config = format!(
            "[log]\ncommit_max_ms = 5\ncommit_max_rows = 1000\nsegment_max_rows = 1000\n\n{}\n{}\n{}",
            connection(&broker.address()),
            sink.connection(""),
            route(BATCH_MAX)
        );
        let mut subject = Subject::new(&config)?;
        subject.start().await?;
        broker.wait_for(&["Sending SUBACK", GATEWAY]).await?;
        let publisher = Publisher::start(&broker.address(), "plant/0", IDS)?;
        Ok(Self { broker, publisher, subject, sink, published: 0, longest: Duration::ZERO })
    }

    /// Lets more be published.
    fn publish(&mut self, count: u64) {
        self.published += count;
        self.publisher.allow(self.published);
    }

    /// Waits until the sink has something new; how long that took since the broker was back.
    async fn flows(&mut self, since: Instant, accepted: u64) -> Result<()> {
        let flowing = self.sink.upstream.wait_until(|stats| stats.accepted > accepted);
        within("the messages to flow again", flowing).await.with_context(|| self.subject.situation())?;
        self.longest = self.longest.max(since.elapsed());
        Ok(())
    }

    /// Waits until all that was published is acknowledged, to the publisher and by the gateway.
    async fn all_acknowledged(&self) -> Result<()> {
        within("the broker to acknowledge", self.publisher.wait_acknowledged(self.published)).await?;
        let received = self.broker.flow(Publisher::CLIENT, "all published", |flow| flow.received >= self.published);
        let received = received.await?.received;
        let gateway = self.broker.flow(GATEWAY, "the gateway to acknowledge", |flow| flow.acknowledged >= received);
        gateway.await.map(drop).with_context(|| self.subject.situation())
    }

    async fn finish(mut self, fault: &str, restarts: u64) -> Result<Outcome> {
        self.all_acknowledged().await?;
        drained(&self.subject).await?;
        // What the broker itself sent twice is in its log.
        let again = self.broker.flow(GATEWAY, "its log", |_| true).await?.sent_again;
        // The one point has one mark of each outage.
        let allowance = Allowance { again, marks: restarts, ..Allowance::batches(0, BATCH_MAX) };
        let findings = judge(&[self.publisher.sent()], self.sink.collect());
        let mut outcome = outcome(fault, restarts, &findings, &allowance);
        outcome.recovered(Some(self.longest));
        let sent = self.publisher.sent();
        outcome.notes.push(format!("again: {again} by the broker, {} by the publisher", sent.again));
        Ok(outcome)
    }
}

fn connection(address: &str) -> String {
    format!(
        "[connections.source]\nadapter = \"mqtt-json\"\n\n[connections.source.transports.broker]\nkind = \"mqtt\"\n\
         address = \"{address}\"\nsubscribe = [\"plant/#\"]\nreconnect = {{ first_ms = 50, max_ms = 500 }}\n\n\
         [[connections.source.settings.topics]]\nfilter = \"plant/+lane\"\nname = \"{{lane}}.{{path}}\"\n\
         points = [{{ path = \"id\", type = \"{}\" }}]\n",
        IDS.kind()
    )
}

async fn with_sessions(restarts: u64) -> Result<Outcome> {
    let mut stage = Stage::new(Mosquitto::start(MosquittoListener::Plain).await?).await?;
    for _ in 0..restarts {
        stage.publish(PUBLISHED);
        let begun = stage.published - PUBLISHED / 2;
        within("half of the messages", stage.publisher.wait_acknowledged(begun)).await?;
        stage.broker.stop().await?;
        // Published into the restart.
        stage.publish(PUBLISHED);
        stage.broker.restart().await?;
        let (since, accepted) = (Instant::now(), stage.sink.upstream.stats().accepted);
        stage.flows(since, accepted).await?;
        stage.all_acknowledged().await?;
    }
    stage.finish("broker, sessions kept", restarts).await
}

async fn without_sessions(restarts: u64) -> Result<Outcome> {
    let mut stage = Stage::new(Mosquitto::start_forgetful().await?).await?;
    for _ in 0..restarts {
        stage.publish(PUBLISHED);
        stage.all_acknowledged().await?;
        stage.publisher.keep_away(true);
        stage.broker.restart().await?;
        let (since, accepted) = (Instant::now(), stage.sink.upstream.stats().accepted);
        stage.broker.wait_for(&["Sending SUBACK", GATEWAY]).await.with_context(|| stage.subject.situation())?;
        stage.publish(PUBLISHED);
        stage.publisher.keep_away(false);
        stage.flows(since, accepted).await?;
    }
    let mut outcome = stage.finish("broker, sessions lost", restarts).await?;
    outcome.notes.push(format!("flowing within {} s of the broker's start", RECOVERY_MAX.as_secs()));
    Ok(outcome)
}
