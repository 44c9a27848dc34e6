//! TLS: the certificate of the gateway's own and one of the config, HTTP/2, client certificates, tokens of an issuer.

use crate::harness::{Gateway, QUIET, answer, config};
use bulkhead_api::AccountStore;
use bulkhead_config::ApiRole;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use reqwest::header::SET_COOKIE;
use reqwest::{Certificate, Client, ClientBuilder, Identity, StatusCode, Version};
use serde_json::{Value as Json, json};
use std::path::Path;

fn client(build: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let builder = Client::builder().timeout(crate::harness::PATIENCE).no_proxy().tls_info(true);
    build(builder).build().unwrap()
}

fn https(gateway: &Gateway, path: &str) -> String {
    format!("https://{}{path}", gateway.address)
}

/// The gateway's own certificate, as it lies in the data folder.
fn own_certificate(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("data/access/self-signed.pem")).unwrap()
}

#[tokio::test]
async fn the_first_start_makes_a_certificate_that_the_next_ones_keep_and_both_kinds_of_clients_are_served() {
    let gateway = Gateway::start(QUIET).await;
    let pem = own_certificate(gateway.dir.path());
    let believing = client(|builder| builder.tls_certs_only([Certificate::from_pem(&pem).unwrap()]));
    let response = believing.get(https(&gateway, "/healthz")).send().await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
    let shown = response.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec();
    let digest = ring::digest::digest(&ring::digest::SHA256, &shown);
    let fingerprint: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (gateway.certificate.fingerprint.as_str(), gateway.certificate.is_self_signed),
        (fingerprint.as_str(), true)
    );
    let plain = believing.get(gateway.url("/healthz")).send().await.unwrap();
    assert_eq!((plain.status(), plain.version()), (StatusCode::OK, Version::HTTP_11));
    let old = client(|builder| builder.http1_only().tls_certs_only([Certificate::from_pem(&pem).unwrap()]));
    assert_eq!(old.get(https(&gateway, "/healthz")).send().await.unwrap().version(), Version::HTTP_11);
    let stranger = client(|builder| builder.tls_certs_only([]));
    assert!(stranger.get(https(&gateway, "/healthz")).send().await.is_err(), "nobody vouches for it");
    let links = believing.get(https(&gateway, "/odata/v4/")).send().await.unwrap().text().await.unwrap();
    assert!(links.contains("https://"), "{links}");
    let again = gateway.bind_another(&gateway.config).unwrap();
    assert_eq!(again.certificate(), gateway.certificate, "the next start has the same");
    drop(again);
    gateway.stop().await;
}

#[tokio::test]
async fn over_tls_a_session_is_for_tls_only() {
    let gateway = Gateway::start(QUIET).await;
    AccountStore::of(&gateway.config).add_user("anna", ApiRole::Admin, "correct horse").unwrap();
    let pem = own_certificate(gateway.dir.path());
    let client = client(|builder| builder.tls_certs_only([Certificate::from_pem(&pem).unwrap()]));
    let login = json!({ "username": "anna", "password": "correct horse" });
    let response = client.post(https(&gateway, "/api/v1/login")).json(&login).send().await.unwrap();
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-bulkhead=") && cookie.ends_with("; Secure"), "{cookie}");
    let pair = cookie.split(';').next().unwrap().to_owned();
    let ask = |url: String| client.get(url).header("cookie", pair.clone()).send();
    assert_eq!(ask(https(&gateway, "/api/v1/session")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(ask(gateway.url("/api/v1/session")).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    gateway.stop().await;
}

/// An authority that signs certificates for servers and clients.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key as PEM, signed by an authority.
fn signed(authority: &CertifiedIssuer<'static, KeyPair>, common_name: &str, names: &[&str]) -> (String, String) {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
}

fn pem(kind: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", base64::engine::general_purpose::STANDARD.encode(der))
}

#[tokio::test]
async fn a_client_certificate_gives_the_role_that_the_config_says() {
    let (ca, other) = (authority("plant"), authority("elsewhere"));
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (server, key) = signed(&ca, "gateway", &["127.0.0.1"]);
    for (name, text) in [("server.pem", &server), ("server.key", &key), ("ca.pem", &pem("CERTIFICATE", ca.der()))] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let text = format!(
        "[api]\nlisten = \"127.0.0.1:0\"\n[api.tls]\ncertificate_file = {:?}\nkey = {{ file = {:?} }}\nclient_ca_file = {:?}\n\
         [api.certificates.mes]\ncommon_name = \"mes\"\nrole = \"operator\"\n\
         [api.certificates.panel]\ndns_name = \"panel.plant.example\"\n",
        file("server.pem"),
        file("server.key"),
        file("ca.pem"),
    );
    let gateway = Gateway::start(&text).await;
    assert!(!gateway.certificate.is_self_signed);
    let root = || Certificate::from_pem(pem("CERTIFICATE", ca.der()).as_bytes()).unwrap();
    let with = |(certificate, key): (String, String)| {
        let identity = Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap();
        client(|builder| builder.tls_certs_only([root()]).identity(identity))
    };
    let who = |client: Client| {
        let request = client.get(https(&gateway, "/api/v1/session"));
        async move {
            let response = request.send().await.ok()?;
            let status = response.status();
            Some((status, response.json::<Json>().await.unwrap()))
        }
    };
    let (status, mes) = who(with(signed(&ca, "mes", &[]))).await.unwrap();
    assert_eq!((status, &mes["name"], &mes["role"]), (StatusCode::OK, &json!("mes"), &json!("operator")));
    let (_, panel) = who(with(signed(&ca, "x", &["panel.plant.example"]))).await.unwrap();
    assert_eq!((&panel["proof"], &panel["role"]), (&json!("certificate"), &json!("viewer")));
    assert_eq!(who(with(signed(&ca, "stranger", &[]))).await.unwrap().0, StatusCode::UNAUTHORIZED);
    assert_eq!(who(client(|builder| builder.tls_certs_only([root()]))).await.unwrap().0, StatusCode::UNAUTHORIZED);
    assert!(
        who(with(signed(&other, "mes", &[]))).await.is_none(),
        "another authority's certificate ends the handshake"
    );
    let mut wrong = config(&text, dir.path());
    wrong.api.tls.key = Some(bulkhead_model::Secret::Text("no key".into()));
    let refusal = gateway.bind_another(&wrong).err().unwrap().to_string();
    assert!(refusal.contains("api.tls.key") && !refusal.contains("no key (PEM) no key"), "{refusal}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_token_of_the_issuer_gives_the_role_of_its_claim() {
    use base64::Engine as _;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref()) }] });
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, keys.to_string()).unwrap();
    let text = format!(
        "{QUIET}\n[api.jwt]\nissuer = \"https://login.example\"\naudience = \"bulkhead\"\njwks_file = {file:?}\n\
         [api.jwt.roles]\nbulkhead-operator = \"operator\"\n"
    );
    let gateway = Gateway::start(&text).await;
    let token = |claims: Json| {
        let message = format!("{}.{}", encode(br#"{"alg":"EdDSA"}"#), encode(claims.to_string().as_bytes()));
        format!("{message}.{}", encode(key.sign(message.as_bytes()).as_ref()))
    };
    let claims = json!({ "iss": "https://login.example", "aud": "bulkhead", "sub": "mes-7", "exp": 32_503_680_000_i64,
                         "roles": ["bulkhead-operator"] });
    let ask = |claims: Json| answer(gateway.get("/api/v1/session").bearer_auth(token(claims)));
    let (status, who) = ask(claims.clone()).await;
    assert_eq!((status, &who["name"], &who["role"]), (StatusCode::OK, &json!("mes-7"), &json!("operator")));
    let mut ended = claims;
    ended["exp"] = 1.into();
    let (status, problem) = ask(ended).await;
    assert_eq!((status, problem["detail"].as_str()), (StatusCode::UNAUTHORIZED, Some("the token has ended")));
    gateway.stop().await;
}
