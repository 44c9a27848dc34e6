//! The API's section of the config: where it listens, who may use it, with which role, how it is protected.

use bulkhead_model::Secret;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The HTTP API.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Address and port to listen on; port 0 takes a free one. Anything but loopback needs a user, a key or a credential.
    #[schemars(with = "String", extend("format" = "socket-address"))]
    pub listen: SocketAddr,
    /// Who may use it beside the users and keys of the data folder, by name. None of all: whoever is on this machine may read
    /// and write.
    #[schemars(extend("propertyNames" = crate::schema::name()))]
    pub credentials: BTreeMap<String, Credential>,
    /// TLS of the API.
    pub tls: ApiTls,
    /// Whose client certificates are believed to be whose, by name. They need `tls.client_ca_file`.
    #[schemars(extend("propertyNames" = crate::schema::name()))]
    pub certificates: BTreeMap<String, ClientCertificate>,
    /// Whose tokens (JWT) are believed; absent: nobody's.
    pub jwt: Option<Jwt>,
    /// Origins whose pages may use the API from a browser, such as `https://dashboard.example`. None: those of the gateway.
    #[schemars(inner(length(max = 255), regex(pattern = r"^https?://[^/?#\s]+$")))]
    pub cors_origins: BTreeSet<String>,
    /// Addresses of proxies, or networks of them such as `10.1.0.0/16`, whose `Forwarded` and `X-Forwarded-*` are believed: links
    /// in answers then lead where the client came from. Nobody else's are.
    #[schemars(inner(length(min = 1, max = 64)))]
    pub trusted_proxies: Vec<String>,
    /// What one client may use up.
    pub limits: ApiLimits,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8470)),
            credentials: BTreeMap::new(),
            tls: ApiTls::default(),
            certificates: BTreeMap::new(),
            jwt: None,
            cors_origins: BTreeSet::new(),
            trusted_proxies: Vec::new(),
            limits: ApiLimits::default(),
        }
    }
}

impl Api {
    /// Whether an address is one of the trusted proxies.
    #[must_use]
    pub fn trusts(&self, address: std::net::IpAddr) -> bool {
        crate::proxies::names(&self.trusted_proxies, address)
    }

    /// Whether the config itself names anybody who may use it.
    #[must_use]
    pub fn names_somebody(&self) -> bool {
        !self.credentials.is_empty() || !self.certificates.is_empty() || self.jwt.is_some()
    }

    /// The files it names, as it names them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let credentials = self.credentials.values().filter_map(|credential| credential.secret().file());
        let tls = &self.tls;
        let of_tls =
            [tls.certificate_file.as_deref(), tls.key.as_ref().and_then(Secret::file), tls.client_ca_file.as_deref()];
        credentials.chain(of_tls.into_iter().flatten()).chain(self.jwt.as_ref().map(|jwt| jwt.jwks_file.as_path()))
    }
}

/// A credential of the API.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum Credential {
    /// A token in `Authorization: Bearer` (RFC 6750).
    Token {
        /// The token.
        token: Secret,
        /// What its holder may do.
        #[serde(default)]
        role: ApiRole,
    },
    /// User name and password (RFC 7617).
    Password {
        /// User name.
        #[schemars(length(min = 1, max = 255))]
        username: String,
        /// Password.
        password: Secret,
        /// What the user may do.
        #[serde(default)]
        role: ApiRole,
    },
}

impl Credential {
    /// What its holder may do.
    #[must_use]
    pub fn role(&self) -> ApiRole {
        match self {
            Credential::Token { role, .. } | Credential::Password { role, .. } => *role,
        }
    }

    /// The token or the password.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        match self {
            Credential::Token { token, .. } => token,
            Credential::Password { password, .. } => password,
        }
    }
}

/// What somebody may do in the API; each role includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(transform = with_old_name)]
pub enum ApiRole {
    /// Read everything.
    #[default]
    #[serde(alias = "reader")]
    Viewer,
    /// Operate: write to points, send webhooks, replay and discard dead letters, make backups.
    Operator,
    /// Everything: change the config, manage users and keys, read the audit log.
    Admin,
}

impl ApiRole {
    /// All, the least first.
    pub const ALL: [ApiRole; 3] = [ApiRole::Viewer, ApiRole::Operator, ApiRole::Admin];

    /// Its name, as in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ApiRole::Viewer => "viewer",
            ApiRole::Operator => "operator",
            ApiRole::Admin => "admin",
        }
    }

    /// The role of a name; `reader` is the old one of `viewer`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "reader" { "viewer" } else { name };
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The name that viewers once had is still understood.
fn with_old_name(schema: &mut Schema) {
    let Some(variants) = schema.get_mut("oneOf").and_then(serde_json::Value::as_array_mut) else { return };
    variants.push(serde_json::json!({ "type": "string", "const": "reader", "description": "The same as viewer." }));
}

/// TLS of the API. Each port speaks both: a client that begins with TLS gets it, with a certificate that the gateway signs
/// itself until one is configured.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiTls {
    /// PEM file of the certificate and those above it; absent: one that the gateway makes and signs itself.
    pub certificate_file: Option<PathBuf>,
    /// Its key, as PEM.
    pub key: Option<Secret>,
    /// PEM file of the authorities whose client certificates are accepted; absent: none are asked for.
    pub client_ca_file: Option<PathBuf>,
    /// Whether requests without TLS are answered from this machine only.
    pub required: bool,
}

/// A client certificate and what its holder may do. It is told by its fingerprint or by a name in it.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum ClientCertificate {
    /// One certificate, whatever stands in it.
    Fingerprint {
        /// SHA-256 of the certificate (DER), 64 hexadecimal digits.
        #[schemars(regex(pattern = r"^[0-9a-fA-F]{64}$"))]
        fingerprint: String,
        /// What its holder may do.
        #[serde(default)]
        role: ApiRole,
    },
    /// Every certificate of the authorities with this common name.
    CommonName {
        /// The subject's common name (CN), as it stands there.
        #[schemars(length(min = 1, max = 255))]
        common_name: String,
        /// What its holder may do.
        #[serde(default)]
        role: ApiRole,
    },
    /// Every certificate of the authorities with this DNS name among its alternative names.
    DnsName {
        /// The DNS name (SAN), in lower case.
        #[schemars(length(min = 1, max = 255))]
        dns_name: String,
        /// What its holder may do.
        #[serde(default)]
        role: ApiRole,
    },
}

impl ClientCertificate {
    /// What its holder may do.
    #[must_use]
    pub fn role(&self) -> ApiRole {
        match self {
            Self::Fingerprint { role, .. } | Self::CommonName { role, .. } | Self::DnsName { role, .. } => *role,
        }
    }
}

/// Whose tokens are believed (RFC 7519): those of one issuer, signed with one of its keys, for this gateway.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// What the claim `iss` must be.
    #[schemars(length(min = 1, max = 1024))]
    pub issuer: String,
    /// What the claim `aud` must be or hold.
    #[schemars(length(min = 1, max = 1024))]
    pub audience: String,
    /// File of the issuer's public keys (JWKS, RFC 7517): RSA, P-256 or Ed25519.
    pub jwks_file: PathBuf,
    /// The claim that says what its holder is: a text or a list of texts; `/` leads into an object (`realm_access/roles`).
    #[serde(default = "default_role_claim")]
    #[schemars(length(min = 1, max = 255))]
    pub role_claim: String,
    /// What a value of that claim makes its holder; the highest counts. A token with none of them is refused.
    pub roles: BTreeMap<String, ApiRole>,
    /// How far the clocks of issuer and gateway may be apart, in seconds.
    #[serde(default = "default_leeway_s")]
    #[schemars(range(max = 600))]
    pub leeway_s: u32,
}

fn default_role_claim() -> String {
    "roles".into()
}

fn default_leeway_s() -> u32 {
    60
}

/// What one client may use up.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiLimits {
    /// Requests in a second from one address; twice as many at once. Further ones are answered with 429.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub address_requests_per_s: u32,
    /// The same for one user, key, token or certificate.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub credential_requests_per_s: u32,
    /// Connections open at a time from one address; an IPv6 network of 64 bits is one. At most 256 are open in all.
    #[schemars(range(min = 1, max = 256))]
    pub address_connections_max: u32,
    /// Time after which a session that nobody uses ends, in minutes.
    #[schemars(range(min = 1, max = 10_080))]
    pub session_idle_min: u32,
    /// Time after which every session ends, in minutes.
    #[schemars(range(min = 1, max = 43_200))]
    pub session_max_min: u32,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            address_requests_per_s: 2_000,
            credential_requests_per_s: 1_000,
            address_connections_max: 128,
            session_idle_min: 30,
            session_max_min: 720,
        }
    }
}

/// What others may send to a connection's webhooks.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Webhook {
    /// Longest body in bytes.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub body_max_bytes: u32,
    /// Requests in a second; twice as many at once. Further ones are answered with 429.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_s: u32,
    /// How requests are signed; absent: they need a credential of the API with the role operator. A request with the right
    /// signature needs no other credential, one without is refused.
    pub signature: Option<WebhookSignature>,
}

impl Default for Webhook {
    fn default() -> Self {
        Self { body_max_bytes: 1_048_576, requests_per_s: 2_000, signature: None }
    }
}

/// How a webhook's sender signs: HMAC (RFC 2104) with SHA-256 over the body, in a header field.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSignature {
    /// What sender and gateway share.
    pub secret: Secret,
    /// The header field with the signature, such as `X-Hub-Signature-256`.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub header: String,
    /// The digest.
    #[serde(default)]
    pub algorithm: SignatureAlgorithm,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// What stands before the signature in the field, such as `sha256=`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub prefix: String,
    /// What is signed: `{body}` is the body, `{timestamp}` what stands in `timestamp_header`; at most 256 characters.
    #[serde(default = "default_signed")]
    #[schemars(length(min = 6, max = 256))]
    pub signed: String,
    /// The header field with the time of sending, in seconds since 1970 or as RFC 3339; absent: there is none.
    #[serde(default)]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub timestamp_header: Option<String>,
    /// How far that time may be from the gateway's, in seconds.
    #[serde(default = "default_tolerance_s")]
    #[schemars(range(min = 1, max = 86_400))]
    pub tolerance_s: u32,
}

fn default_signed() -> String {
    "{body}".into()
}

fn default_tolerance_s() -> u32 {
    300
}

/// The digest of a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureAlgorithm {
    /// HMAC-SHA-256.
    #[default]
    Sha256,
}

/// How a signature is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignatureEncoding {
    /// Hexadecimal digits, small or capital.
    #[default]
    Hex,
    /// Base64 (RFC 4648 §4).
    Base64,
}
