//! A thermometer that answers a request with a number of degrees. The SDK's front page shows this file.

use bulkhead_sdk::prelude::*;

#[derive(Deserialize)]
pub(crate) struct Thermometer {
    request: String,
}

impl Adapter for Thermometer {
    type Settings = Self;
    fn start(settings: Self) -> Result<Self, Fault> {
        Ok(settings)
    }
}

impl Poller for Thermometer {
    fn poll(&mut self, _group: &str) -> Result<Vec<Reading>, Fault> {
        let line = serial::exchange("device", self.request.as_bytes(), None, None, None)?;
        let text = String::from_utf8_lossy(&line);
        let degrees: f64 =
            text.trim().parse().map_err(|_| Fault::retry("bad-line", format!("{text:?} is no number")))?;
        Ok(vec![Reading::new("flow_temp", degrees).unit("°C")])
    }
}

bulkhead_sdk::export!(Thermometer: poller);
