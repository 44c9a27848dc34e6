//! Tokens that are believed and, mostly, those that are not.

use super::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Keys {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
}

impl Keys {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap(),
        }
    }

    fn set(&self) -> Json {
        let point = self.ec.public_key().as_ref();
        json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(self.ed.public_key().as_ref()) },
            { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": encode(&point[1..33]), "y": encode(&point[33..]) },
            { "kty": "oct", "k": encode(b"shared") },
            { "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB" },
        ]})
    }

    fn sign(&self, header: &Json, claims: &Json) -> String {
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = match header["alg"].as_str() {
            Some("ES256") => self.ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
            _ => self.ed.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", encode(&signature))
    }
}

fn issuer(set: &Json) -> Issuer {
    Issuer {
        issuer: "https://login.example".into(),
        audience: "bulkhead".into(),
        role_claim: "realm/roles".into(),
        roles: BTreeMap::from([("v".into(), ApiRole::Viewer), ("a".into(), ApiRole::Admin)]),
        leeway_s: 60.0,
        keys: keys(&set.to_string()).unwrap(),
    }
}

const NOW_S: f64 = 1_000_000.0;

fn claims() -> Json {
    json!({ "iss": "https://login.example", "aud": ["x", "bulkhead"], "sub": "anna", "exp": NOW_S + 10.0, "nbf": NOW_S,
            "realm": { "roles": ["other", "v", "a"] } })
}

#[test]
fn what_the_issuer_signed_for_us_is_believed() {
    let keys = Keys::new();
    let issuer = issuer(&keys.set());
    for (alg, kid) in [("EdDSA", "ed"), ("ES256", "ec")] {
        let token = keys.sign(&json!({ "alg": alg, "kid": kid }), &claims());
        assert!(looks_like_one(&token));
        let holder = issuer.holder(&token, NOW_S).unwrap();
        assert_eq!((&*holder.name, holder.role, holder.proof), ("anna", ApiRole::Admin, Proof::Token));
        let without_id = keys.sign(&json!({ "alg": alg }), &claims());
        assert!(issuer.holder(&without_id, NOW_S).is_ok());
    }
}

#[test]
fn clocks_may_differ_by_the_leeway_and_no_more() {
    let keys = Keys::new();
    let issuer = issuer(&keys.set());
    let token = keys.sign(&json!({ "alg": "EdDSA" }), &claims());
    for (now_s, good) in [(-60.0, true), (-61.0, false), (69.0, true), (70.0, false)] {
        assert_eq!(issuer.holder(&token, NOW_S + now_s).is_ok(), good, "{now_s}");
    }
}

#[test]
fn what_is_changed_of_the_claims_is_refused() {
    let keys = Keys::new();
    let issuer = issuer(&keys.set());
    let cases = [
        ("iss", json!("https://evil.example"), "another issuer"),
        ("iss", Json::Null, "another issuer"),
        ("aud", json!("other"), "somebody else"),
        ("aud", Json::Null, "somebody else"),
        ("exp", Json::Null, "no end"),
        ("exp", json!(NOW_S - 100.0), "ended"),
        ("nbf", json!(NOW_S + 100.0), "not good yet"),
        ("realm", json!({ "roles": ["nobody"] }), "none of the configured roles"),
        ("realm", json!("a"), "none of the configured roles"),
    ];
    for (claim, value, reason) in cases {
        let mut changed = claims();
        changed[claim] = value;
        let refused = issuer.holder(&keys.sign(&json!({ "alg": "EdDSA" }), &changed), NOW_S).unwrap_err();
        assert!(refused.contains(reason), "{claim}: {refused}");
    }
}

#[test]
fn no_algorithm_of_the_tokens_choice_is_taken() {
    let keys = Keys::new();
    let set = keys.set();
    let issuer = issuer(&set);
    let good = keys.sign(&json!({ "alg": "EdDSA", "kid": "ed" }), &claims());
    let body = good.split('.').nth(1).unwrap();
    let with = |header: Json, signature: &[u8]| {
        format!("{}.{body}.{}", encode(header.to_string().as_bytes()), encode(signature))
    };
    for alg in ["none", "None", "HS256", "HS512", "RS512", ""] {
        assert!(issuer.holder(&with(json!({ "alg": alg }), b""), NOW_S).is_err(), "{alg}");
    }
    // The public key as the secret of an HMAC: the old confusion.
    let header = json!({ "alg": "HS256", "kid": "ed" });
    let message = format!("{}.{body}", encode(header.to_string().as_bytes()));
    for secret in [keys.ed.public_key().as_ref(), set.to_string().as_bytes(), b"shared"] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let signed = ring::hmac::sign(&key, message.as_bytes());
        assert!(issuer.holder(&with(header.clone(), signed.as_ref()), NOW_S).is_err());
    }
    // A right signature under another algorithm's name, or under another key's id.
    let signature = URL_SAFE_NO_PAD.decode(good.rsplit('.').next().unwrap()).unwrap();
    assert!(issuer.holder(&with(json!({ "alg": "ES256" }), &signature), NOW_S).is_err());
    assert!(issuer.holder(&keys.sign(&json!({ "alg": "EdDSA", "kid": "ec" }), &claims()), NOW_S).is_err());
    assert!(issuer.holder(&keys.sign(&json!({ "alg": "EdDSA", "crit": ["b64"] }), &claims()), NOW_S).is_err());
    assert!(
        issuer.holder(&Keys::new().sign(&json!({ "alg": "EdDSA" }), &claims()), NOW_S).is_err(),
        "a stranger's key"
    );
    for text in
        ["", ".", "..", "a.b.c", &good[..good.len() - 4], &format!("{good}.x"), &"e".repeat(TOKEN_MAX_BYTES + 1)]
    {
        assert!(issuer.holder(text, NOW_S).is_err(), "{text}");
    }
}

#[test]
fn a_token_signed_by_rsa_is_believed() {
    // Of openssl: `openssl genrsa 2048`, and the token signed by `openssl dgst -sha256 -sign`.
    let set =
        json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "n": include_str!("jwt_rsa_n.txt").trim(), "e": "AQAB" }] });
    let issuer = issuer(&set);
    let token = include_str!("jwt_rsa_token.txt").trim();
    assert_eq!(issuer.holder(token, NOW_S).unwrap().role, ApiRole::Admin);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = format!("{}.{signature}", message.replace(message.split('.').nth(1).unwrap(), &encode(b"{}")));
    assert!(issuer.holder(&other, NOW_S).is_err());
}

#[test]
fn a_file_without_a_key_is_told() {
    assert!(keys("{}").is_err());
    assert!(keys(r#"{"keys": []}"#).err().unwrap().contains("no key"));
    assert!(keys(r#"{"keys": [{"kty": "oct", "k": "AA"}, 5]}"#).is_err());
}
