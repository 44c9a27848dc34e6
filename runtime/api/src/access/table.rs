//! Which role each endpoint needs for each method: one table, from which the gate decides and which a test walks over the real
//! router. What is not in it is not served.

use super::identity::{Identity, Proof};
use axum::http::Method;
use bulkhead_config::ApiRole;
use std::collections::BTreeSet;

/// What a method of an endpoint needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// Nothing: everybody may.
    Nobody,
    /// A role, or one above it.
    Role(ApiRole),
    /// The role admin; operator as long as nobody is an admin ([`may_change_config`]).
    Config,
    /// The role operator, or the signature of the webhook's sender.
    Webhook,
}

/// Where an endpoint says which connection it is about; a key that is confined to some is good only where it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum About {
    /// It is about none.
    Nothing,
    /// All of them.
    All,
    /// The segment of its path with this number, the first being 0.
    Segment(usize),
    /// The query parameter `connection`.
    Query,
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// As the router has it.
    pub(crate) path: &'static str,
    pub(crate) about: About,
    /// What each method needs; methods that are absent are not taken. HEAD needs what GET needs.
    pub(crate) methods: &'static [(&'static str, Need)],
}

const VIEWER: Need = Need::Role(ApiRole::Viewer);
const OPERATOR: Need = Need::Role(ApiRole::Operator);
const ADMIN: Need = Need::Role(ApiRole::Admin);

const fn row(path: &'static str, about: About, methods: &'static [(&'static str, Need)]) -> Endpoint {
    Endpoint { path, about, methods }
}

const READ: &[(&str, Need)] = &[("GET", VIEWER)];
const OPERATE: &[(&str, Need)] = &[("POST", OPERATOR)];
const CONFIGURE: &[(&str, Need)] = &[("POST", Need::Config)];
const MANAGE: &[(&str, Need)] = &[("GET", ADMIN), ("POST", ADMIN)];
const REMOVE: &[(&str, Need)] = &[("DELETE", ADMIN)];
const HOOK: &[(&str, Need)] = &[
    ("GET", Need::Webhook),
    ("POST", Need::Webhook),
    ("PUT", Need::Webhook),
    ("PATCH", Need::Webhook),
    ("DELETE", Need::Webhook),
];
const ODATA: &[(&str, Need)] =
    &[("GET", VIEWER), ("POST", OPERATOR), ("PUT", OPERATOR), ("PATCH", OPERATOR), ("DELETE", OPERATOR)];

/// All endpoints.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    row("/", About::Nothing, READ),
    row("/front-page.js", About::Nothing, READ),
    row("/front-page.css", About::Nothing, READ),
    row("/docs", About::Nothing, READ),
    row("/docs/{asset}", About::Nothing, READ),
    row("/api/v1/openapi.json", About::Nothing, READ),
    row("/api/v1/login", About::Nothing, &[("POST", Need::Nobody)]),
    row("/api/v1/logout", About::Nothing, &[("POST", VIEWER)]),
    row("/api/v1/session", About::Nothing, READ),
    row("/api/v1/users", About::All, MANAGE),
    row("/api/v1/users/{user}", About::All, REMOVE),
    row("/api/v1/users/{user}/password", About::All, &[("POST", ADMIN)]),
    row("/api/v1/keys", About::All, MANAGE),
    row("/api/v1/keys/{key}", About::All, REMOVE),
    row("/api/v1/audit", About::All, &[("GET", ADMIN)]),
    row("/api/v1/connections", About::All, READ),
    row("/api/v1/connections/{connection}", About::Segment(3), READ),
    row("/api/v1/connections/{connection}/points", About::Segment(3), READ),
    row("/api/v1/connections/{connection}/points/{*point}", About::Segment(3), &[("GET", VIEWER), ("POST", OPERATOR)]),
    row("/api/v1/connections/{connection}/enable", About::All, CONFIGURE),
    row("/api/v1/connections/{connection}/disable", About::All, CONFIGURE),
    row("/api/v1/connections/{connection}/test", About::Segment(3), OPERATE),
    row("/api/v1/connections/{connection}/tap", About::Segment(3), &[("GET", OPERATOR)]),
    row("/api/v1/points", About::Query, READ),
    row("/api/v1/latest", About::Query, READ),
    row("/api/v1/readings", About::All, READ),
    row("/api/v1/events", About::Query, READ),
    row("/api/v1/config", About::All, &[("GET", VIEWER), ("POST", Need::Config)]),
    row("/api/v1/config/status", About::All, READ),
    row("/api/v1/config/check", About::All, CONFIGURE),
    row("/api/v1/config/reload", About::All, CONFIGURE),
    row("/api/v1/config/rollback", About::All, CONFIGURE),
    row("/api/v1/log", About::All, READ),
    row("/api/v1/log/expired", About::All, READ),
    row("/api/v1/gaps", About::All, READ),
    row("/api/v1/routes", About::All, READ),
    row("/api/v1/routes/{route}", About::All, &[("GET", VIEWER), ("DELETE", OPERATOR)]),
    row("/api/v1/routes/{route}/dead-letters", About::All, READ),
    row("/api/v1/dead-letters", About::Query, &[("GET", VIEWER), ("DELETE", OPERATOR)]),
    row("/api/v1/dead-letters/replay", About::Query, OPERATE),
    row("/api/v1/dead-letters/{letter}", About::All, &[("GET", VIEWER), ("DELETE", OPERATOR)]),
    row("/api/v1/dead-letters/{letter}/replay", About::All, OPERATE),
    row("/api/v1/adapters", About::All, READ),
    row("/api/v1/backup", About::All, &[("GET", VIEWER), ("POST", OPERATOR)]),
    row("/api/v1/journal", About::All, READ),
    row("/api/v1/import", About::All, OPERATE),
    row("/api/v1/import/{id}", About::All, &[("GET", OPERATOR)]),
    row("/hooks/{connection}", About::Segment(1), HOOK),
    row("/hooks/{connection}/{*path}", About::Segment(1), HOOK),
    row("/odata/v4", About::All, ODATA),
    row("/odata/v4/", About::All, ODATA),
    row("/odata/v4/{*path}", About::All, ODATA),
    row("/metrics", About::All, READ),
    row("/healthz", About::Nothing, &[("GET", Need::Nobody)]),
    row("/readyz", About::Nothing, &[("GET", Need::Nobody)]),
];

/// What an endpoint needs, for whoever describes the API or tests it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointNeeds {
    /// Its path, names in braces.
    pub path: &'static str,
    /// Its methods, each with the least role it needs; none: nobody is asked who they are.
    pub methods: Vec<(&'static str, Option<ApiRole>)>,
}

/// What every endpoint needs.
#[must_use]
pub fn endpoints() -> Vec<EndpointNeeds> {
    let role = |need: Need| match need {
        Need::Nobody => None,
        Need::Role(role) => Some(role),
        Need::Config => Some(ApiRole::Admin),
        Need::Webhook => Some(ApiRole::Operator),
    };
    let needs = |endpoint: &Endpoint| EndpointNeeds {
        path: endpoint.path,
        methods: endpoint.methods.iter().map(|(method, need)| (*method, role(*need))).collect(),
    };
    ENDPOINTS.iter().map(needs).collect()
}

impl Endpoint {
    /// The row of a path, as the router has it.
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        ENDPOINTS.iter().find(|endpoint| endpoint.path == path)
    }

    /// What a method needs; none: it is not taken.
    pub(crate) fn need(&self, method: &Method) -> Option<Need> {
        let name = if *method == Method::HEAD { "GET" } else { method.as_str() };
        self.methods.iter().find(|(taken, _)| *taken == name).map(|(_, need)| *need)
    }

    /// Whether somebody who is confined to these connections may ask this. Path and query as they were sent.
    pub(crate) fn is_within(&self, connections: &BTreeSet<String>, path: &str, query: Option<&str>) -> bool {
        let names = |name: &str| connections.contains(name);
        match self.about {
            About::Nothing => true,
            About::All => false,
            About::Segment(at) => {
                let segment = path.split('/').skip(1).nth(at);
                segment.and_then(|segment| crate::path::decode(segment).ok()).is_some_and(|name| names(&name))
            }
            About::Query => {
                let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
                let mut given = pairs.filter(|(name, _)| name == "connection").map(|(_, value)| value);
                given.next().is_some_and(|name| names(&name)) && given.next().is_none()
            }
        }
    }
}

/// Whether somebody has what is needed. `has_admin`: whether anybody is an admin.
pub(crate) fn may(identity: &Identity, need: Need, has_admin: bool) -> bool {
    match need {
        Need::Nobody => true,
        Need::Role(role) => identity.role >= role,
        Need::Webhook => identity.role >= ApiRole::Operator,
        Need::Config => identity.role == ApiRole::Admin || may_change_config(identity, has_admin),
    }
}

/// Before there were admins, operators of the config changed it, and so did everybody on a machine without credentials. They
/// still may while nobody is an admin: there is nobody above them whose role they could take by it.
fn may_change_config(identity: &Identity, has_admin: bool) -> bool {
    let is_of_old = matches!(identity.proof, Proof::Config | Proof::Nothing);
    is_of_old && identity.role == ApiRole::Operator && !has_admin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_those_below_and_only_admins_manage() {
        let who = |role| Identity::new(Proof::Key, "k", role);
        for (need, least) in [
            (VIEWER, ApiRole::Viewer),
            (OPERATOR, ApiRole::Operator),
            (ADMIN, ApiRole::Admin),
            (Need::Config, ApiRole::Admin),
        ] {
            for role in ApiRole::ALL {
                assert_eq!(may(&who(role), need, true), role >= least, "{need:?} {role:?}");
            }
        }
    }

    #[test]
    fn operators_of_the_config_change_it_until_there_is_an_admin() {
        let of = |proof, has_admin| may(&Identity::new(proof, "x", ApiRole::Operator), Need::Config, has_admin);
        assert!(of(Proof::Config, false) && of(Proof::Nothing, false));
        assert!(!of(Proof::Config, true) && !of(Proof::Key, false) && !of(Proof::Password, false));
        assert!(!may(&Identity::new(Proof::Config, "x", ApiRole::Operator), ADMIN, false));
    }

    #[test]
    fn a_confined_key_is_good_only_where_its_connection_is_named() {
        let boiler = BTreeSet::from(["boiler".to_owned()]);
        let within =
            |row: &str, path: &str, query: Option<&str>| Endpoint::at(row).unwrap().is_within(&boiler, path, query);
        let point = "/api/v1/connections/{connection}/points/{*point}";
        assert!(within(point, "/api/v1/connections/boiler/points/a/b", None));
        assert!(within(point, "/api/v1/connections/b%6Filer/points/a", None));
        assert!(!within(point, "/api/v1/connections/pump/points/boiler", Some("connection=boiler")));
        assert!(
            within("/hooks/{connection}", "/hooks/boiler", None) && !within("/hooks/{connection}", "/hooks/b", None)
        );
        assert!(within("/api/v1/latest", "/api/v1/latest", Some("limit=1&connection=boiler")));
        for query in [None, Some(""), Some("connection=pump"), Some("connection=boiler&connection=pump")] {
            assert!(!within("/api/v1/latest", "/api/v1/latest", query), "{query:?}");
        }
        assert!(!within("/metrics", "/metrics", Some("connection=boiler")) && within("/", "/", None));
    }

    #[test]
    fn no_path_stands_twice() {
        let paths: BTreeSet<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.path).collect();
        assert_eq!(paths.len(), ENDPOINTS.len());
    }
}
