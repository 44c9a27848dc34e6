//! The sink `http-json` against an upstream that misbehaves: what was read arrives, in order, once or known as a repetition,
//! and the cursor says what was accepted.

use anyhow::{Context, Result, ensure};
use bulkhead_simulators::upstream::{Accepted, Auth, Misbehaviour, RetryAfter, Upstream, UpstreamConfig};
use bulkhead_tests::{
    Gateway, Route, Site, accepted_numbers, commit_numbers, first_arrivals, numbers_to, prompt_route, unlucky, within,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

async fn upstream(auth: Auth) -> Result<Upstream> {
    Ok(Upstream::start(UpstreamConfig { auth, ..UpstreamConfig::default() }).await?)
}

fn range(last: i64) -> Vec<i64> {
    (1..=last).collect()
}

async fn wait_for(upstream: &Upstream, count: u64) -> Result<Vec<Accepted>> {
    within(&format!("{count} readings at the upstream"), upstream.wait_for(count)).await
}

/// The route once everything in the log is done with.
async fn drained(gateway: &Gateway) -> Result<Route> {
    gateway.route("up", "the route to be through", |route| route.backlog == 0 && route.state == "running").await
}

#[tokio::test]
async fn every_failure_of_the_upstream_is_outlasted_and_repetitions_carry_the_key_of_the_first_try() -> Result<()> {
    let upstream = upstream(Auth::Open).await?;
    let gateway = Gateway::start(&numbers_to(&upstream, "timeout_ms = 300", "batch_max_readings = 10")).await?;
    upstream.script([
        Misbehaviour::status(500),
        Misbehaviour::status(502),
        Misbehaviour::Hang,
        Misbehaviour::Close,
        Misbehaviour::status(404),
        Misbehaviour::CloseMidResponse,
        Misbehaviour::AcceptThenClose,
        Misbehaviour::status(504),
    ]);
    commit_numbers(&gateway, 1..=30).await?;
    // Ten were accepted twice without the gateway's knowing, and come again.
    let accepted = wait_for(&upstream, 50).await?;
    let route = drained(&gateway).await?;
    assert_eq!(first_arrivals(&accepted), range(30));
    assert_eq!((route.cursor, route.accepted, route.rejected, route.retries), (30, 30, 0, 8), "{route:?}");
    let mut keys: Vec<u64> = upstream.accepted_by_key().into_values().collect();
    keys.sort_unstable();
    assert_eq!(keys, [1, 1, 3], "a repetition is known by its key");
    let mut bodies: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for one in &accepted {
        let key = one.idempotency_key.as_deref().context("a request without key")?;
        bodies.entry(key).or_default().insert(one.body["n"].as_i64().unwrap_or_default());
    }
    assert!(bodies.values().all(|numbers| numbers.len() == 10), "the same key, the same readings: {bodies:?}");
    Ok(())
}

#[tokio::test]
async fn retry_after_is_waited_for_in_seconds_and_as_a_date() -> Result<()> {
    let upstream = upstream(Auth::Open).await?;
    let gateway = Gateway::start(&numbers_to(&upstream, "", "")).await?;
    let date = Misbehaviour::Status {
        code: 503,
        body: "closed for stocktaking".into(),
        retry_after: Some(RetryAfter::DateInSeconds(2)),
    };
    for (misbehaviour, least, reason) in
        [(Misbehaviour::retry_later(429, 1), 1000, "429"), (date, 1000, "closed for stocktaking")]
    {
        let before = upstream.stats();
        upstream.next(misbehaviour, 1);
        commit_numbers(&gateway, [1]).await?;
        within("the refusal", upstream.wait_until(|stats| stats.misbehaved > before.misbehaved)).await?;
        let refused = Instant::now();
        let route = gateway.route("up", "the route to wait", |route| route.state == "waiting").await?;
        ensure!(route.reason.as_deref().is_some_and(|text| text.contains(reason)), "{route:?}");
        wait_for(&upstream, before.accepted + 1).await?;
        let waited = refused.elapsed();
        // The clock of the test starts a little after that of the gateway.
        ensure!(waited >= Duration::from_millis(least - 100), "came again after {waited:?}");
        assert_eq!(upstream.stats().requests, before.requests + 2, "nothing was tried meanwhile");
        drained(&gateway).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_redirect_out_of_the_grant_is_not_followed_and_costs_no_reading() -> Result<()> {
    let (home, elsewhere) = (upstream(Auth::Open).await?, upstream(Auth::Open).await?);
    let gateway = Gateway::start(&numbers_to(&home, "", "")).await?;
    for target in [format!("{}/api/ingest", elsewhere.url()), format!("{}/admin/ingest", home.url())] {
        let before = home.stats().accepted;
        home.always(Misbehaviour::Redirect(target.clone()));
        commit_numbers(&gateway, [1, 2, 3]).await?;
        let route = gateway
            .route("up", "the redirect to be named", |route| {
                route.reason.as_deref().is_some_and(|reason| reason.contains(&target))
            })
            .await?;
        ensure!(route.reason.as_deref().is_some_and(|reason| reason.contains("not-granted")), "{route:?}");
        let connection = gateway
            .connection("erp", "the fault to be counted", |connection| connection.faults.contains_key("not-granted"))
            .await?;
        ensure!(connection.last_fault.is_some_and(|fault| fault.message.contains(&target)));
        home.behave();
        wait_for(&home, before + 3).await?;
    }
    assert_eq!(elsewhere.stats().requests, 0, "the other server heard nothing");
    home.next(Misbehaviour::Redirect(format!("{}/api/moved", home.url())), 1);
    commit_numbers(&gateway, [7]).await?;
    let accepted = wait_for(&home, 7).await?;
    assert_eq!(accepted_numbers(&accepted), [1, 2, 3, 1, 2, 3, 7]);
    assert_eq!(accepted[6].collection, "api/moved", "inside the grant it is followed");
    let route = drained(&gateway).await?;
    assert_eq!((route.accepted, route.rejected), (7, 0), "{route:?}");
    Ok(())
}

#[tokio::test]
async fn each_way_to_sign_in_is_taken() -> Result<()> {
    let basic = Auth::Basic { user: "gateway".into(), password: "s3cret:with:colons".into() };
    let header = Auth::Header { name: "x-api-key".into(), value: "k3y".into() };
    for (auth, transport) in [
        (basic, r#"auth = { kind = "basic", username = "gateway", password = "s3cret:with:colons" }"#),
        (Auth::Bearer("t0ken".into()), r#"auth = { kind = "bearer", token = "t0ken" }"#),
        (header, r#"auth = { kind = "header", name = "X-API-Key", value = "k3y" }"#),
    ] {
        let upstream = upstream(auth).await?;
        let gateway = Gateway::start(&numbers_to(&upstream, transport, "")).await?;
        commit_numbers(&gateway, 1..=3).await?;
        let accepted = wait_for(&upstream, 3).await?;
        assert_eq!(accepted_numbers(&accepted), [1, 2, 3]);
        assert_eq!(upstream.stats().unauthorized, 0, "{transport}");
    }
    Ok(())
}

#[tokio::test]
async fn oauth2_tokens_are_fetched_kept_and_renewed_when_they_expire() -> Result<()> {
    let lifetime = Duration::from_secs(3600);
    let upstream = upstream(Auth::OAuth2 { client_id: "gw".into(), client_secret: "s+/ %".into(), lifetime }).await?;
    let auth = format!(
        r#"auth = {{ kind = "oauth2", token_url = "{}/token", client_id = "gw", client_secret = "s+/ %" }}"#,
        upstream.url()
    );
    let gateway = Gateway::start(&numbers_to(&upstream, &auth, "")).await?;
    for number in 1..=3 {
        commit_numbers(&gateway, [number]).await?;
        wait_for(&upstream, u64::try_from(number)?).await.with_context(|| gateway.situation())?;
    }
    assert_eq!(upstream.stats().tokens, 1, "one token serves until it expires");
    upstream.expire_tokens();
    commit_numbers(&gateway, [4]).await?;
    let accepted = wait_for(&upstream, 4).await?;
    assert_eq!((accepted_numbers(&accepted), upstream.stats().tokens), (range(4), 2));
    let route = drained(&gateway).await?;
    assert_eq!((route.accepted, route.retries), (4, 0), "the renewal is no failure of the batch: {route:?}");
    Ok(())
}

#[tokio::test]
async fn wrong_credentials_hold_the_cursor_and_name_the_reason_until_they_are_put_right() -> Result<()> {
    let upstream = upstream(Auth::Bearer("the-right-token".into())).await?;
    let auth = |token: &str| format!(r#"auth = {{ kind = "bearer", token = "{token}" }}"#);
    let gateway = Gateway::start(&numbers_to(&upstream, &auth("the-wr0ng-token"), "")).await?;
    commit_numbers(&gateway, 1..=5).await?;
    let route = gateway.route("up", "the route to wait", |route| route.state == "waiting" && route.retries > 2).await?;
    let reason = route.reason.unwrap_or_default();
    ensure!(reason.contains("401") && reason.contains("credentials") && reason.contains("/ingest"), "{reason}");
    assert_eq!((route.cursor, route.backlog, route.rejected), (0, 5, 0));
    let shown = gateway.api.json("/api/v1/connections").await?.to_string();
    let (site, journal) = gateway.terminate().await?;
    let said = journal.all().join("\n") + &reason + &shown;
    ensure!(!said.contains("wr0ng"), "the secret is told: {said}");

    let right = site.config()?.replace("the-wr0ng-token", "the-right-token");
    site.write_file("gateway.toml", &right)?;
    let gateway = site.run().await?;
    let accepted = wait_for(&upstream, 5).await?;
    assert_eq!(accepted_numbers(&accepted), range(5));
    assert_eq!(drained(&gateway).await?.cursor, 5);
    Ok(())
}

#[tokio::test]
async fn a_refused_reading_of_a_batch_is_found_and_kept_as_a_dead_letter_and_the_others_arrive_once() -> Result<()> {
    let upstream = upstream(Auth::Open).await?;
    upstream.reject(unlucky);
    let gateway = Gateway::start(&numbers_to(&upstream, "", "batch_max_readings = 50")).await?;
    commit_numbers(&gateway, 1..=50).await?;
    let accepted = wait_for(&upstream, 47).await?;
    let route = drained(&gateway).await?;
    assert_eq!((route.cursor, route.accepted, route.rejected), (50, 47, 3), "{route:?}");
    let expected: Vec<i64> = (1..=50).filter(|number| number % 13 != 0).collect();
    assert_eq!(accepted_numbers(&accepted), expected, "each once, in order");
    let letters = gateway.api.json("/api/v1/routes/up/dead-letters").await?;
    let mut refused: Vec<(u64, &str, &str)> = Vec::new();
    for letter in letters["dead_letters"].as_array().context("no list")? {
        let text = |member: &str| letter[member].as_str().unwrap_or_default();
        refused.push((letter["seq"].as_u64().unwrap_or_default(), text("connection"), text("point")));
        ensure!(text("code") == "status-422" && text("message").contains("13 is not sold here"), "{letter}");
    }
    refused.sort_unstable();
    // The numbers are the log's first readings: n is its own seq.
    assert_eq!(refused, [(13, "source", "n"), (26, "source", "n"), (39, "source", "n")]);
    Ok(())
}

#[tokio::test]
async fn a_refused_reading_on_its_own_does_not_stop_those_behind_it() -> Result<()> {
    let upstream = upstream(Auth::Open).await?;
    upstream.reject(unlucky);
    let single = numbers_to(&upstream, "allow_methods = [\"PUT\"]", "").replace(
        "path = \"/ingest\"",
        "path = \"/ingest/{{ reading.connection }}\"\nmode = \"reading\"\nmethod = \"PUT\"",
    );
    let gateway = Gateway::start(&single).await?;
    upstream.next(Misbehaviour::status(503), 1);
    commit_numbers(&gateway, 1..=15).await?;
    let accepted = wait_for(&upstream, 14).await?;
    let route = drained(&gateway).await?;
    assert_eq!((route.cursor, route.accepted, route.rejected), (15, 14, 1), "{route:?}");
    assert_eq!(accepted_numbers(&accepted), (1..=15).filter(|number| *number != 13).collect::<Vec<_>>());
    assert!(accepted.iter().all(|one| one.method == "PUT" && one.collection == "api/ingest/source"));
    assert_eq!(upstream.accepted_by_key().len(), 14, "each reading has its key");
    Ok(())
}

#[tokio::test]
async fn a_backlog_drains_in_order_and_the_cursor_moves_with_what_is_accepted() -> Result<()> {
    let mut upstream = upstream(Auth::Open).await?;
    let gateway = Gateway::start(&numbers_to(&upstream, "", "batch_max_readings = 40")).await?;
    commit_numbers(&gateway, 1..=10).await?;
    wait_for(&upstream, 10).await?;
    gateway.route("up", "the cursor at 10", |route| route.cursor == 10).await?;
    upstream.stop().await;
    for chunk in range(1000)[10..].chunks(99) {
        commit_numbers(&gateway, chunk.iter().copied()).await?;
    }
    let down = gateway.route("up", "the route to wait", |route| route.state == "waiting" && route.retries > 1).await?;
    assert_eq!((down.cursor, down.backlog), (10, 990), "{down:?}");
    let address = upstream.address().to_string();
    ensure!(down.reason.as_deref().is_some_and(|reason| reason.contains(&address) && reason.contains("connect")));
    upstream.restart().await?;
    let accepted = wait_for(&upstream, 1000).await?;
    let route = drained(&gateway).await?;
    assert_eq!(accepted_numbers(&accepted), range(1000), "each once, in order");
    assert_eq!((route.cursor, route.accepted, route.rejected), (1000, 1000, 0), "{route:?}");
    assert!(upstream.accepted_by_key().values().all(|count| *count == 1));
    Ok(())
}

#[tokio::test]
async fn a_batch_on_its_way_at_a_kill_goes_again_as_it_was_under_its_key() -> Result<()> {
    let upstream = upstream(Auth::Open).await?;
    let gateway = Gateway::start(&numbers_to(&upstream, "", "")).await?;
    // Accepted at once, but the answer never ends in this test's time: the gateway cannot know.
    upstream.next(Misbehaviour::SlowBody(Duration::from_secs(3600)), 1);
    commit_numbers(&gateway, 1..=3).await?;
    wait_for(&upstream, 3).await?;
    // Without its bounds being durable the next batch would begin at 1 and hold these, too.
    commit_numbers(&gateway, 4..=9).await?;
    let gateway = gateway.kill().await?.run().await?;
    let accepted = wait_for(&upstream, 12).await?;
    drained(&gateway).await?;
    assert_eq!(accepted_numbers(&accepted), [1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let keys: Vec<Option<&str>> = accepted.iter().map(|one| one.idempotency_key.as_deref()).collect();
    assert!(keys[0].is_some() && keys[..6].iter().all(|key| *key == keys[0]), "{keys:?}");
    assert!(keys[6..].iter().all(|key| *key != keys[0]), "{keys:?}");
    Ok(())
}

#[tokio::test]
async fn a_template_that_gives_no_json_stops_its_connection_only_and_says_where() -> Result<()> {
    let upstream = upstream(Auth::Open).await?;
    let broken = numbers_to(&upstream, "", "") + &second_sink(&upstream);
    let gateway = Gateway::start(&broken).await?;
    commit_numbers(&gateway, 1..=3).await?;
    let accepted = wait_for(&upstream, 3).await?;
    assert_eq!(accepted_numbers(&accepted), [1, 2, 3], "the good sink goes on");
    let broken = gateway.route("broken", "the bad sink's reason", |route| route.reason.is_some()).await?;
    let reason = broken.reason.unwrap_or_default();
    ensure!(reason.contains("body"), "{reason}");
    assert_eq!((broken.cursor, broken.rejected), (0, 0), "nothing is lost to a template");
    Ok(())
}

fn second_sink(upstream: &Upstream) -> String {
    format!(
        r#"
[connections.broken]
adapter = "http-json"

[connections.broken.transports.upstream]
kind = "http"
base_url = "{}/api"
allow_methods = ["GET", "POST", "PUT"]

[connections.broken.settings]
body = '{{"open": {{{{ readings }}}}'
"#,
        upstream.url()
    ) + &prompt_route("broken", "source/*", "broken", "")
}

#[tokio::test]
async fn a_key_of_the_config_that_is_wrong_is_shown_before_anything_starts() -> Result<()> {
    let upstream = upstream(Auth::Open).await?;
    let wrong =
        numbers_to(&upstream, "timeout_ms = 1", "").replace("[connections.erp.settings]", "[connections.erp.setings]");
    let output = Site::new(&wrong)?.command(["check", "--json"]).await?;
    eprintln!("{output}");
    assert_eq!(output.code, Some(2), "{output}");
    let shown = output.json()?;
    let lines: Vec<u64> = shown["diagnostics"]
        .as_array()
        .context("no list")?
        .iter()
        .filter_map(|mistake| mistake["line"].as_u64())
        .collect();
    ensure!(shown.to_string().contains("timeout_ms") && shown.to_string().contains("settings"), "{shown}");
    ensure!(lines.len() >= 2 && lines.iter().all(|line| *line > 0), "{shown}");
    assert_eq!(upstream.stats().requests, 0);
    Ok(())
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_told_and_costs_no_reading() -> Result<()> {
    let upstream = upstream(Auth::Open).await?;
    let gateway = Gateway::start(&numbers_to(&upstream, "max_response_bytes = 1000", "")).await?;
    upstream.next(Misbehaviour::HugeBody(1 << 20), 1);
    commit_numbers(&gateway, [1]).await?;
    let accepted = wait_for(&upstream, 2).await?;
    let route = drained(&gateway).await?;
    assert_eq!((accepted_numbers(&accepted), route.accepted, route.rejected), (vec![1, 1], 1, 0));
    assert_eq!(accepted[0].idempotency_key, accepted[1].idempotency_key, "a repetition under its key");
    let connection = gateway.api.connection("erp").await?;
    assert_eq!(connection.faults.get("too-large"), Some(&1), "{:?}", connection.faults);
    Ok(())
}
