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
