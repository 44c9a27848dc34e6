//! Users and API keys as plain values: what may be made, changed and removed. No file, no clock.

use super::password::{PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARS};
use crate::error::ApiError;
use bulkhead_config::ApiRole;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most users.
pub(crate) const USERS_MAX: usize = 1_000;
/// Most API keys.
pub(crate) const KEYS_MAX: usize = 1_000;
/// Most characters of a name.
const NAME_MAX_CHARS: usize = 64;
/// Most connections that one key is confined to.
const KEY_CONNECTIONS_MAX: usize = 100;
/// The form of the file.
const FORMAT: u32 = 1;

/// All users and keys.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    format: u32,
    /// Users, by name.
    pub users: Vec<User>,
    /// API keys, the oldest first.
    pub keys: Vec<ApiKey>,
}

/// Somebody with a password.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User name.
    pub name: String,
    /// What they may do.
    #[serde(with = "role_name")]
    pub role: ApiRole,
    /// What is kept of the password; a session ends when it changes.
    pub(crate) password: String,
}

/// An API key, without its secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// What it is for, in the words of whoever made it.
    pub name: String,
    /// The part of it that is shown: `bk_<id>_…`.
    pub id: String,
    /// What its holder may do.
    #[serde(with = "role_name")]
    pub role: ApiRole,
    /// The only connections it is good for; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<BTreeSet<String>>,
    /// When it was made, in nanoseconds since 1970.
    pub created_ns: i64,
    /// When it ends, in nanoseconds since 1970; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ns: Option<i64>,
    /// SHA-256 of the whole key.
    pub(crate) digest: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

mod role_name {
    use bulkhead_config::ApiRole;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(role: &ApiRole, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(role.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ApiRole, D::Error> {
        let name = String::deserialize(deserializer)?;
        ApiRole::named(&name).ok_or_else(|| D::Error::custom(format!("`{name}` is no role")))
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self { format: FORMAT, users: Vec::new(), keys: Vec::new() }
    }
}

fn refused(reason: impl Into<String>) -> ApiError {
    ApiError::Account { reason: reason.into() }
}

impl Accounts {
    /// Whether there are none of either.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.keys.is_empty()
    }

    /// Whether the form is one that is known here.
    pub(crate) fn is_known_form(&self) -> bool {
        self.format == FORMAT
    }

    /// Whether anybody here has the role admin.
    pub(crate) fn has_admin(&self) -> bool {
        let mut roles = self.users.iter().map(|user| user.role).chain(self.keys.iter().map(|key| key.role));
        roles.any(|role| role == ApiRole::Admin)
    }

    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// Adds a user; `password` is what is kept of it.
    pub(crate) fn add_user(&mut self, name: &str, role: ApiRole, password: String) -> Result<(), ApiError> {
        check_name(name)?;
        if self.user(name).is_some() {
            return Err(refused(format!(
                "there is a user {name} already; `bulkhead user password {name}` changes the password"
            )));
        }
        if self.users.len() >= USERS_MAX {
            return Err(refused(format!("there are {USERS_MAX} users, which is the most")));
        }
        self.users.push(User { name: name.to_owned(), role, password });
        self.users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    }

    /// Replaces what is kept of a user's password.
    pub(crate) fn set_password(&mut self, name: &str, password: String) -> Result<(), ApiError> {
        let user = self.users.iter_mut().find(|user| user.name == name);
        user.ok_or_else(|| ApiError::NoAccount { what: "user", name: name.to_owned() })?.password = password;
        Ok(())
    }

    /// Removes a user.
    pub(crate) fn remove_user(&mut self, name: &str) -> Result<User, ApiError> {
        let at = self.users.iter().position(|user| user.name == name);
        at.map(|at| self.users.remove(at)).ok_or_else(|| ApiError::NoAccount { what: "user", name: name.to_owned() })
    }

    /// Adds a key.
    pub(crate) fn add_key(&mut self, key: ApiKey) -> Result<(), ApiError> {
        check_name(&key.name)?;
        if key.expires_ns.is_some_and(|end| end <= key.created_ns) {
            return Err(refused("the key would have ended before it begins"));
        }
        if key.connections.as_ref().is_some_and(|names| names.is_empty() || names.len() > KEY_CONNECTIONS_MAX) {
            return Err(refused(format!(
                "a key is good for all connections, or for 1 to {KEY_CONNECTIONS_MAX} named ones"
            )));
        }
        if key.connections.is_some() && key.role == ApiRole::Admin {
            return Err(refused("an admin's key cannot be confined to connections; choose viewer or operator"));
        }
        if self.keys.iter().any(|other| other.name == key.name) {
            return Err(refused(format!("there is a key named {} already", key.name)));
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(refused(format!("there are {KEYS_MAX} keys, which is the most; revoke those that ended")));
        }
        self.keys.push(key);
        Ok(())
    }

    /// Removes a key, by its id, what it begins with, or its name.
    pub(crate) fn revoke_key(&mut self, which: &str) -> Result<ApiKey, ApiError> {
        let id = super::key::id_of(which).or_else(|| which.strip_prefix(super::key::PREFIX)).unwrap_or(which);
        let at = self.keys.iter().position(|key| key.id == id || key.name == which);
        at.map(|at| self.keys.remove(at)).ok_or_else(|| ApiError::NoAccount { what: "key", name: which.to_owned() })
    }
}

/// A name is for lists, headers and the audit log: letters, digits and a few marks.
fn check_name(name: &str) -> Result<(), ApiError> {
    let may = |c: char| c.is_alphanumeric() || "-_.@+".contains(c);
    if (1..=NAME_MAX_CHARS).contains(&name.chars().count()) && name.chars().all(may) {
        return Ok(());
    }
    Err(refused(format!(
        "{name:?} is no name: 1 to {NAME_MAX_CHARS} letters, digits, `-`, `_`, `.`, `@` and `+` make one"
    )))
}

/// Whether somebody may choose this password.
pub(crate) fn check_password(password: &str) -> Result<(), ApiError> {
    if password.chars().count() < PASSWORD_MIN_CHARS || password.len() > PASSWORD_MAX_BYTES {
        return Err(refused(format!(
            "a password has at least {PASSWORD_MIN_CHARS} characters and at most {PASSWORD_MAX_BYTES} bytes"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ApiKey {
        ApiKey {
            name: name.into(),
            id: "00c0ffee".into(),
            role: ApiRole::Viewer,
            connections: None,
            created_ns: 1,
            expires_ns: None,
            digest: "d".into(),
        }
    }

    #[test]
    fn users_are_made_once_and_removed_by_name() {
        let mut accounts = Accounts::default();
        accounts.add_user("zoe", ApiRole::Admin, "h".into()).unwrap();
        accounts.add_user("anna@plant", ApiRole::Viewer, "h".into()).unwrap();
        assert!(accounts.has_admin() && accounts.users[0].name == "anna@plant");
        assert!(accounts.add_user("zoe", ApiRole::Viewer, "x".into()).unwrap_err().to_string().contains("already"));
        for wrong in ["", "a b", "a:b", "a\nb", &"x".repeat(65)] {
            assert!(accounts.add_user(wrong, ApiRole::Viewer, "h".into()).is_err(), "{wrong:?}");
        }
        accounts.set_password("zoe", "i".into()).unwrap();
        assert_eq!(accounts.remove_user("zoe").unwrap().password, "i");
        assert!(matches!(accounts.remove_user("zoe"), Err(ApiError::NoAccount { what: "user", .. })));
    }

    #[test]
    fn keys_are_revoked_by_id_beginning_or_name() {
        for which in ["00c0ffee", "bk_00c0ffee", "bk_00c0ffee_secret", "historian"] {
            let mut accounts = Accounts::default();
            accounts.add_key(key("historian")).unwrap();
            assert_eq!(accounts.revoke_key(which).unwrap().name, "historian", "{which}");
            assert!(accounts.is_empty());
        }
        let mut accounts = Accounts::default();
        assert!(accounts.add_key(ApiKey { expires_ns: Some(1), ..key("a") }).is_err());
        assert!(accounts.add_key(ApiKey { connections: Some(BTreeSet::new()), ..key("a") }).is_err());
        let confined = Some(BTreeSet::from(["boiler".to_owned()]));
        assert!(accounts.add_key(ApiKey { connections: confined, role: ApiRole::Admin, ..key("a") }).is_err());
    }

    #[test]
    fn debug_and_names_show_no_secret() {
        let mut accounts = Accounts::default();
        accounts.add_user("zoe", ApiRole::Admin, "$argon2id$h4sh".into()).unwrap();
        accounts.add_key(ApiKey { digest: "d1gest".into(), ..key("a") }).unwrap();
        let shown = format!("{accounts:?}");
        assert!(!shown.contains("h4sh") && !shown.contains("d1gest"), "{shown}");
        assert!(check_password("1234567").is_err() && check_password("12345678").is_ok());
    }
}
