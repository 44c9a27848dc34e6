//! The sink: the simulators' upstream, and what it accepted as arrivals for the oracle.

use super::ids::Ids;
use super::oracle::{Arrival, What};
use super::producer::Load;
use anyhow::Result;
use bulkhead_simulators::upstream::{Accepted, Upstream, UpstreamConfig};
use std::collections::HashMap;

/// Values the upstream keeps until they are collected.
const KEPT_MAX: usize = 2_000_000;

/// A sink that forgets nothing.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) upstream: Upstream,
    ids: Ids,
    keys: HashMap<String, u32>,
    arrivals: Vec<Arrival>,
}

impl Sink {
    pub(crate) async fn start(ids: Ids) -> Result<Self> {
        let config = UpstreamConfig { max_stored: KEPT_MAX, ..UpstreamConfig::default() };
        let upstream = Upstream::start(config).await?;
        Ok(Self { upstream, ids, keys: HashMap::new(), arrivals: Vec::new() })
    }

    /// The connection `sink`, whose every reading is `[seq, point, value, good]`, with further keys of its transport.
    pub(crate) fn connection(&self, transport: &str) -> String {
        format!(
            "[connections.sink]\nadapter = \"http-json\"\n\n[connections.sink.transports.upstream]\nkind = \"http\"\n\
             base_url = \"{}\"\nallow_methods = [\"POST\"]\n{transport}\n\n[connections.sink.settings]\npath = \"/ingest\"\n\
             body = '''[{{% for reading in readings %}}[{{{{ reading.seq }}}}, {{{{ reading.point }}}}, \
             {{{{ reading.value }}}}, {{{{ reading.good }}}}]{{% if not loop.last %}},{{% endif %}}{{% endfor %}}]'''\n",
            self.upstream.url()
        )
    }

    /// Takes over what has been accepted since the last time; everything so far.
    pub(crate) fn collect(&mut self) -> &[Arrival] {
        for accepted in self.upstream.take_accepted() {
            let arrival = self.arrival(&accepted);
            self.arrivals.push(arrival);
        }
        &self.arrivals
    }

    fn arrival(&mut self, accepted: &Accepted) -> Arrival {
        let keys = self.keys.len() as u32;
        let key = accepted.idempotency_key.clone().unwrap_or_default();
        let key = *self.keys.entry(key).or_insert(keys);
        let (seq, point, value) = (&accepted.body[0], accepted.body[1].as_str(), &accepted.body[2]);
        let lane = point.and_then(Load::lane);
        let id = lane.and_then(|lane| Some(What::Id(lane, self.ids.id(lane, value)?)));
        let is_mark = value.is_null() && accepted.body[3] == false;
        let what = id.unwrap_or(if is_mark { What::Mark } else { What::Damaged });
        Arrival { key, seq: seq.as_u64().unwrap_or_default(), what }
    }
}
