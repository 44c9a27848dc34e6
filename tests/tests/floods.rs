//! Floods of requests at the API, and imports through it: devices are polled as evenly as before, within twice the time between
//! two polls that is usual without (the 99th percentile, as the devices see it).

use anyhow::{Context, Result, ensure};
use bulkhead_tests::hostile::{NEIGHBOURS_INTERVAL, Neighbours};
use bulkhead_tests::{Gateway, adapters, program, until};
use h2::Reason;
use rustls::pki_types::ServerName;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;

/// How much longer than before the percentile may be.
const SLOWER_MAX: u32 = 2;
/// Polls of all neighbours that each percentile is of.
const POLLS: usize = 400;

/// A gateway with neighbours, and their percentile without a flood.
struct Plant {
    gateway: Gateway,
    neighbours: Neighbours,
    before: Duration,
}

impl Plant {
    async fn start() -> Result<Self> {
        let neighbours = Neighbours::start().await?;
        let site = bulkhead_tests::Site::new(&neighbours.config())?;
        adapters()?;
        let gateway = site.run().await?;
        let mut plant = Self { gateway, neighbours, before: Duration::MAX };
        plant.p99().await?;
        plant.before = plant.p99().await?.max(NEIGHBOURS_INTERVAL);
        Ok(plant)
    }

    /// The percentile of the next polls.
    async fn p99(&self) -> Result<Duration> {
        self.neighbours.forget();
        until("the neighbours' polls", async || {
            let count = self.neighbours.count();
            Ok(if count >= POLLS { Ok(()) } else { Err(format!("{count} of {POLLS}")) })
        })
        .await?;
        Ok(self.neighbours.p99())
    }

    /// Holds the polls during a flood against those before, and sees that others are still answered.
    #[expect(clippy::print_stdout, reason = "figures for whoever runs it")]
    async fn judge(&self, what: &str) -> Result<()> {
        let during = self.p99().await?;
        let (status, _) = self.gateway.api.get("/healthz").await.with_context(|| format!("during {what}"))?;
        println!("{what}: p99 {during:?} between two polls, {:?} before", self.before);
        ensure!(status == 200, "during {what} the gateway answers {status}");
        ensure!(during <= self.before * SLOWER_MAX, "during {what} p99 is {during:?}, before {:?}", self.before);
        Ok(())
    }
}

/// slowhttptest in a mode, over and over: with some modes it ends by itself once the gateway has cut off its connections.
async fn slowhttptest(plant: &Plant, mode: &str, path: &str, what: &str) -> Result<()> {
    let url = plant.gateway.api.url(path);
    let program = program("slowhttptest")?;
    let mode = mode.to_owned();
    let begun = Arc::new(AtomicU64::new(0));
    let counted = begun.clone();
    let flood = tokio::spawn(async move {
        loop {
            let mut command = Command::new(&program);
            // More connections than one address may have, opened as fast as it can, for longer than is measured.
            command.args([
                mode.as_str(),
                "-c",
                "400",
                "-r",
                "400",
                "-i",
                "2",
                "-l",
                "60",
                "-x",
                "24",
                "-p",
                "3",
                "-u",
                &url,
            ]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            counted.fetch_add(1, Ordering::Relaxed);
            command.status().await?;
        }
        #[expect(unreachable_code, reason = "it says which errors the loop has")]
        anyhow::Ok(())
    });
    let outcome = plant.judge(what).await;
    ensure!(!flood.is_finished(), "slowhttptest could not be run: {:?}", flood.await);
    flood.abort();
    ensure!(begun.load(Ordering::Relaxed) > 0, "there was no flood");
    outcome
}

#[tokio::test]
async fn slow_clients_disturb_no_poll_and_the_gateway_answers() -> Result<()> {
    let plant = Plant::start().await?;
    for (mode, path, what) in [
        ("-H", "/api/v1/connections", "slow header fields"),
        ("-B", "/hooks/n0/x", "slow bodies"),
        ("-X", "/api/v1/events", "slow reading"),
    ] {
        slowhttptest(&plant, mode, path, what).await?;
    }
    plant.gateway.terminate().await?;
    Ok(())
}

/// A client that opens requests and takes them back at once, over and over; each connection for as long as it lives.
struct Resetting {
    address: SocketAddr,
    tls: TlsConnector,
    resets: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Resetting {
    async fn flood(&self) -> Result<()> {
        loop {
            // That the gateway cuts the connection is what it shall do.
            if self.one_connection().await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn one_connection(&self) -> Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, stream).await?;
        let (mut client, connection) = h2::client::handshake(stream).await?;
        let driving = tokio::spawn(connection);
        self.connections.fetch_add(1, Ordering::Relaxed);
        let flooding = async {
            loop {
                client = client.ready().await?;
                let request =
                    http::Request::get(format!("https://localhost:{}/api/v1/connections", self.address.port()));
                let (_, mut stream) = client.send_request(request.body(())?, true)?;
                stream.send_reset(Reason::CANCEL);
                self.resets.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        };
        let outcome: Result<()> = flooding.await;
        driving.abort();
        outcome
    }
}

#[tokio::test]
async fn a_flood_of_http_2_resets_is_cut_off_and_disturbs_no_poll() -> Result<()> {
    let plant = Plant::start().await?;
    let pem = std::fs::read(plant.gateway.site().path("data/access/self-signed.pem"))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let flood = Arc::new(Resetting {
        address: plant.gateway.api.url("").trim_start_matches("http://").parse()?,
        tls: TlsConnector::from(Arc::new(config)),
        resets: Arc::default(),
        connections: Arc::default(),
    });
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let flood = flood.clone();
            tokio::spawn(async move { flood.flood().await })
        })
        .collect();
    let outcome = plant.judge("a flood of resets").await;
    floods.iter().for_each(tokio::task::JoinHandle::abort);
    outcome?;
    let (resets, connections) = (flood.resets.load(Ordering::Relaxed), flood.connections.load(Ordering::Relaxed));
    println!("{resets} resets over {connections} connections");
    ensure!(
        resets > 1_000 && connections > 4,
        "{resets} resets over {connections} connections are no flood that is cut off"
    );
    plant.gateway.terminate().await?;
    Ok(())
}

#[tokio::test]
async fn an_import_disturbs_no_poll() -> Result<()> {
    let plant = Plant::start().await?;
    // Long enough for as long as is measured; it is a file of many, one behind the other.
    let file: String =
        std::iter::once("time,count\n".to_owned()).chain((0..200_000).map(|n| format!("{n},{n}\n"))).collect();
    let (client, url) = (bulkhead_tests::http_client()?, plant.gateway.api.url("/api/v1/import"));
    let importing = tokio::spawn(async move {
        loop {
            let request = client.post(&url).query(&[("connection", "n0"), ("create", "integer")]);
            let answer = request.header("content-type", "text/csv").body(file.clone()).send().await?;
            ensure!(answer.status() == 200, "{}", answer.text().await?);
        }
        #[expect(unreachable_code, reason = "it says which errors the loop has")]
        anyhow::Ok(())
    });
    let outcome = plant.judge("an import").await;
    ensure!(!importing.is_finished(), "there was no import: {:?}", importing.await);
    importing.abort();
    outcome?;
    let (_, stats) = plant.gateway.api.get("/api/v1/log").await?;
    println!("the log after it: {stats}");
    plant.gateway.terminate().await?;
    Ok(())
}
