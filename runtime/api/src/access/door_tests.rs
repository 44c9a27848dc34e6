//! Who is let in from where, and who is not.

use super::*;
use crate::access::store::AccountStore;
use axum::http::{HeaderValue, header};
use base64::Engine as _;

const CONFIG: &str =
    "[api.credentials.bi]\ntoken = \"letmein\"\n[api.credentials.desk]\nusername = \"desk\"\npassword = \"wr1tes\"\n";

fn door(dir: &std::path::Path, text: &str, listen: &str) -> Door {
    let loaded = bulkhead_config::parse(text, &dir.join("g.toml"), &bulkhead_config::AnyAdapter).unwrap();
    let policy = LivePolicy::new(Policy::of(&loaded.config).unwrap());
    let accounts = LiveAccounts::open(AccountStore::of(&loaded.config)).unwrap();
    Door::new(policy, accounts, listen.parse().unwrap(), Some("bl_local".into())).unwrap()
}

fn peer(address: &str) -> Peer {
    Peer::plain(address.parse().unwrap(), "192.0.2.1:8470".parse().unwrap())
}

async fn ask(door: &Door, header: Option<&str>, peer: &Peer) -> Result<&'static str, u16> {
    let value = |text: &str| (header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
    let outcome = door.identify(&header.map(value).into_iter().collect(), peer).await;
    outcome.map(|arrival| arrival.identity.proof.name()).map_err(|stranger| stranger.problem.status().as_u16())
}

#[tokio::test]
async fn from_another_machine_without_tls_only_tokens_of_the_config_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let door = door(dir.path(), CONFIG, "0.0.0.0:8470");
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("desk:wr1tes"));
    let far = peer("203.0.113.9:5000");
    assert_eq!(ask(&door, Some("Bearer letmein"), &far).await, Ok("config"));
    for refused in [&basic, "Bearer bk_00c0ffee_x", "Bearer eyJ.e.x"] {
        assert_eq!(ask(&door, Some(refused), &far).await, Err(403), "{refused}");
    }
    assert_eq!(ask(&door, Some("Bearer bl_local"), &far).await, Err(403), "the command line's key is for this machine");
    let far_over_tls = far.over_tls(None);
    assert_eq!(ask(&door, Some(&basic), &far_over_tls).await, Ok("config"));
    assert_eq!(ask(&door, Some("Bearer bl_local"), &far_over_tls).await, Err(401));
    for near in ["127.0.0.1:5000", "192.0.2.1:5000", "[::1]:5000"] {
        assert_eq!(ask(&door, Some(&basic), &peer(near)).await, Ok("config"), "{near}");
        assert_eq!(ask(&door, Some("Bearer bl_local"), &peer(near)).await, Ok("command-line"), "{near}");
    }
}

#[tokio::test]
async fn where_nobody_is_known_only_this_machine_is_let_in_and_only_on_loopback() {
    let dir = tempfile::tempdir().unwrap();
    let (near, far) = (peer("127.0.0.1:5000"), peer("203.0.113.9:5000"));
    let on_loopback = door(dir.path(), "", "127.0.0.1:8470");
    assert_eq!(ask(&on_loopback, None, &near).await, Ok("local"));
    assert_eq!(ask(&on_loopback, Some("Bearer whatever"), &near).await, Ok("local"));
    assert_eq!(ask(&on_loopback, None, &far).await, Err(401));
    let for_others = door(dir.path(), "", "0.0.0.0:8470");
    assert_eq!(ask(&for_others, None, &near).await, Err(401), "the last user was removed while it ran");
}

#[tokio::test]
async fn an_address_that_guesses_is_locked_out_and_those_who_were_in_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let door = door(dir.path(), CONFIG, "0.0.0.0:8470");
    let (near, other) = (peer("127.0.0.1:5000"), peer("192.0.2.1:5000"));
    assert_eq!(ask(&door, Some("Bearer letmein"), &near).await, Ok("config"));
    let mut locked = false;
    for n in 0..40 {
        locked |= ask(&door, Some(&format!("Bearer guess{n}")), &near).await == Err(429);
    }
    assert!(locked);
    assert_eq!(ask(&door, Some("Bearer letmein"), &near).await, Ok("config"));
    assert_eq!(ask(&door, Some("Bearer another"), &other).await, Err(401), "other addresses are not");
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_that_come_at_once_are_counted_like_guesses_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let door = Arc::new(door(dir.path(), CONFIG, "0.0.0.0:8470"));
    let guesses = (0..24).map(|n| {
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            let guess = basic("desk", &format!("guess{n}"));
            ask(&door, Some(&guess), &peer("127.0.0.1:5000")).await.unwrap_err()
        })
    });
    let mut tried = 0;
    for guess in guesses.collect::<Vec<_>>() {
        tried += u32::from(guess.await.unwrap() == 401);
    }
    let most = crate::access::lockout::NAME_FREE_FAILURES + 3;
    assert!((1..=most).contains(&tried), "{tried} of 24 guesses were looked at");
}

#[tokio::test]
async fn a_key_named_like_a_user_clears_none_of_the_users_failures_and_is_taken_whatever_its_address_failed_at() {
    let dir = tempfile::tempdir().unwrap();
    let door = door(dir.path(), CONFIG, "0.0.0.0:8470");
    let loaded = bulkhead_config::parse(CONFIG, &dir.path().join("g.toml"), &bulkhead_config::AnyAdapter).unwrap();
    let new = crate::NewKey { name: "desk".into(), role: ApiRole::Viewer, connections: None, expires: None };
    let (_, key) = AccountStore::of(&loaded.config).create_key(new, bulkhead_model::Timestamp(1)).unwrap();
    let near = peer("127.0.0.1:5000");
    let mut statuses = Vec::new();
    for n in 0..8 {
        statuses.push(ask(&door, Some(&basic("desk", &format!("guess{n}"))), &near).await.unwrap_err());
    }
    for n in 0..40 {
        _ = ask(&door, Some(&format!("Bearer guess{n}")), &near).await;
    }
    assert_eq!(ask(&door, Some("Bearer letmein"), &near).await, Err(429), "{statuses:?}");
    assert_eq!(ask(&door, Some(&format!("Bearer {key}")), &near).await, Ok("key"));
    assert_eq!(ask(&door, Some(&basic("desk", "wr1tes")), &near).await, Err(429), "the user's failures stay");
}
