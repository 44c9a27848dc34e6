//! A source that knows what it sent: it posts ids to a webhook, lane by lane in order, and goes on only when the gateway
//! has acknowledged them with 200. What is not acknowledged it sends again, as long as it takes.

use super::ids::{Ids, Lane};
use super::oracle::Sent;
use crate::http_client::http_client;
use crate::wait::within;
use anyhow::Result;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Wait before what was refused is sent again.
const REFUSED_WAIT: Duration = Duration::from_millis(20);

/// How a source sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Points, each with a sender of its own.
    pub(crate) lanes: usize,
    /// Ids of one request.
    pub(crate) per_post: u64,
    pub(crate) ids: Ids,
}

impl Load {
    /// The connection `source`.
    pub(crate) fn connection(&self) -> String {
        format!(
            "[connections.source]\nadapter = \"webhook-json\"\n\n[[connections.source.settings.hooks]]\n\
             path = \"/+lane\"\nname = \"{{lane}}.{{path}}\"\npoints = [{{ path = \"id\", type = \"{}\" }}]\n",
            self.ids.kind()
        )
    }

    /// The lane whose point has this name.
    pub(crate) fn lane(point: &str) -> Option<Lane> {
        point.strip_suffix(".id")?.parse().ok()
    }
}

/// A running source; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Producer {
    shared: Arc<Shared>,
    lanes: u64,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    lanes: Mutex<Vec<Sent>>,
    /// Ids that each lane may send.
    limit: watch::Sender<u64>,
    /// Ids acknowledged, of all lanes.
    acknowledged: watch::Sender<u64>,
}

impl Producer {
    /// A source that is silent until [`Producer::allow`].
    pub(crate) fn start(load: Load, url: &watch::Receiver<Option<String>>) -> Result<Self> {
        let shared = Arc::new(Shared {
            lanes: Mutex::new(vec![Sent::default(); load.lanes]),
            limit: watch::Sender::new(0),
            acknowledged: watch::Sender::new(0),
        });
        let client = http_client()?;
        let mut tasks = JoinSet::new();
        for lane in 0..load.lanes {
            let sender = Sender { shared: shared.clone(), client: client.clone(), url: url.clone(), load, lane };
            tasks.spawn(sender.run());
        }
        Ok(Self { shared, lanes: load.lanes as u64, tasks })
    }

    /// Lets it send so many ids in all, or a few more: as many from each lane.
    pub(crate) fn allow(&self, ids: u64) {
        self.shared.limit.send_replace(ids.div_ceil(self.lanes));
    }

    /// Lets it send without end.
    pub(crate) fn allow_all(&self) {
        self.shared.limit.send_replace(u64::MAX);
    }

    /// Ids acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        *self.shared.acknowledged.borrow()
    }

    /// Waits until so many ids are acknowledged.
    pub(crate) async fn wait_acknowledged(&self, ids: u64) {
        let mut acknowledged = self.shared.acknowledged.subscribe();
        // The sender lives as long as self.
        _ = acknowledged.wait_for(|acknowledged| *acknowledged >= ids).await;
    }

    /// Sends no new ids, and waits until all that were sent are acknowledged.
    pub(crate) async fn finish(&mut self) -> Result<Vec<Sent>> {
        {
            let _lanes = self.shared.lanes.lock();
            self.shared.limit.send_replace(0);
        }
        let mut acknowledged = self.shared.acknowledged.subscribe();
        let all = || self.shared.lanes.lock().iter().all(|lane| lane.acknowledged == lane.sent);
        within("the last acknowledgements", acknowledged.wait_for(|_| all())).await??;
        self.tasks.abort_all();
        Ok(self.shared.lanes.lock().clone())
    }
}

struct Sender {
    shared: Arc<Shared>,
    client: reqwest::Client,
    url: watch::Receiver<Option<String>>,
    load: Load,
    lane: Lane,
}

impl Sender {
    async fn run(mut self) {
        let mut limit = self.shared.limit.subscribe();
        let mut done = 0;
        loop {
            if limit.wait_for(|limit| *limit > done).await.is_err() {
                return;
            }
            let Some(last) = self.begin(done) else { continue };
            let values = (done + 1..=last).map(|id| json!({ "id": self.load.ids.value(self.lane, id) }));
            let body = Value::from_iter(values);
            while !self.post(&body, last - done).await {
                self.shared.lanes.lock()[self.lane].again += last - done;
            }
            self.shared.lanes.lock()[self.lane].acknowledged = last;
            self.shared.acknowledged.send_modify(|acknowledged| *acknowledged += last - done);
            done = last;
        }
    }

    /// The last id of the next request, noted as sent; none: there is to be no further one.
    fn begin(&self, done: u64) -> Option<u64> {
        let mut lanes = self.shared.lanes.lock();
        // Under the lock: after `finish` has looked at the lanes nothing may be begun.
        let last = (*self.shared.limit.borrow()).min(done + self.load.per_post);
        lanes[self.lane].sent = lanes[self.lane].sent.max(last);
        (last > done).then_some(last)
    }

    /// Whether the gateway has acknowledged all of it.
    async fn post(&mut self, body: &Value, count: u64) -> bool {
        let Ok(url) = self.url.wait_for(Option::is_some).await.map(|url| url.clone().unwrap_or_default()) else {
            return std::future::pending().await;
        };
        let request = self.client.post(format!("{url}/hooks/source/{}", self.lane)).json(body).timeout(ANSWER_MAX);
        let answer = async {
            let response = request.send().await?;
            let status = response.status();
            anyhow::Ok((status, response.json::<Value>().await?))
        };
        let is_taken =
            matches!(answer.await, Ok((status, answer)) if status == 200 && answer == json!({ "readings": count }));
        if !is_taken {
            // Until there is a new life of the gateway, or a moment later to the same one.
            _ = tokio::time::timeout(REFUSED_WAIT, self.url.changed()).await;
        }
        is_taken
    }
}
