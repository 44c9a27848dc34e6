//! System query options: which there are, which are taken, and that none is given twice (Part 2 §5.1).

use crate::Error;
use crate::url::RawOption;
use std::collections::BTreeMap;

/// Options that are evaluated.
const SUPPORTED: &[&str] = &["count", "filter", "format", "orderby", "select", "skip", "skiptoken", "top"];

/// Options that OData has and this service has not, with what to do instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("apply", "aggregate at the client, or read what is needed with $filter"),
    ("compute", "compute at the client"),
    ("deltatoken", "read what is new with $filter"),
    ("expand", "the model has no navigation properties: read the other set with $filter"),
    ("index", "collections have no positions here"),
    ("levels", "the model has no navigation properties"),
    ("schemaversion", "there is one schema only"),
    ("search", "use $filter with contains()"),
];

/// Options that are only known with their `$`.
const UNSUPPORTED_WITH_DOLLAR: &[(&str, &str)] = &[("id", "address the entity by its own URL")];

/// The query options of a request: system options by their name without `$`, and parameter aliases.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    system: BTreeMap<&'static str, RawOption>,
    /// Parameter aliases by name with their `@`.
    pub aliases: BTreeMap<String, RawOption>,
    /// The host's own options: name and value.
    pub host: Vec<(String, String)>,
}

impl Options {
    /// Sorts options out. Names are taken with or without `$` in any case (4.01); unknown ones without `$` are the
    /// host's own and ignored.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one given twice or an unknown one with `$`; [`Error::Unsupported`].
    pub fn sort(raw: Vec<RawOption>) -> Result<Self, Error> {
        Self::sorted(raw, known)
    }

    /// The same for a service that evaluates everything: no option of OData is refused here.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one given twice or an unknown one with `$`.
    pub fn sort_all(raw: Vec<RawOption>) -> Result<Self, Error> {
        Self::sorted(raw, |sent| {
            let dollar = sent.starts_with('$');
            let name = sent.trim_start_matches('$').to_ascii_lowercase();
            let all = SUPPORTED.iter().copied().chain(UNSUPPORTED.iter().map(|(name, _)| *name));
            match all.clone().chain(["id"].into_iter().filter(|_| dollar)).find(|known| *known == name) {
                None if dollar => Err(unknown(sent, &name, all)),
                found => Ok(found),
            }
        })
    }

    fn sorted(raw: Vec<RawOption>, known: impl Fn(&str) -> Result<Option<&'static str>, Error>) -> Result<Self, Error> {
        let mut options = Self::default();
        for option in raw {
            if option.name.starts_with('@') {
                let name = option.name.clone();
                if options.aliases.insert(name.clone(), option).is_some() {
                    return Err(Error::invalid(name, "this alias is given twice"));
                }
                continue;
            }
            let Some(name) = known(&option.name)? else {
                options.host.push((option.name, option.value));
                continue;
            };
            if options.system.insert(name, option).is_some() {
                return Err(Error::invalid(format!("${name}"), "this option is given twice"));
            }
        }
        Ok(options)
    }

    /// An option by its name without `$`, taken out.
    pub fn take(&mut self, name: &str) -> Option<RawOption> {
        self.system.remove(name)
    }

    /// Whether an option is there, by its name without `$`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.system.contains_key(name)
    }

    /// The text of an option, by its name without `$`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.system.get(name).map(|option| option.value.as_str())
    }

    /// The options that are still there but for some, with their `$`.
    #[must_use]
    pub fn repeated(&self, without: &[&str]) -> Vec<(String, String)> {
        let kept = self.system.iter().filter(|(name, _)| !without.contains(name));
        kept.map(|(name, option)| (format!("${name}"), option.value.clone())).collect()
    }

    /// Refuses whatever has not been taken out.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names one option and where it does not belong.
    pub fn nothing_left(&self, resource: &str) -> Result<(), Error> {
        match self.system.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::invalid(format!("${name}"), format!("this option does not go with {resource}"))),
        }
    }
}

/// The supported option of a name; none for a host's own.
fn known(sent: &str) -> Result<Option<&'static str>, Error> {
    let dollar = sent.starts_with('$');
    let name = sent.trim_start_matches('$').to_ascii_lowercase();
    if let Some(found) = SUPPORTED.iter().find(|supported| **supported == name) {
        return Ok(Some(found));
    }
    let with_dollar = UNSUPPORTED_WITH_DOLLAR.iter().filter(|_| dollar);
    if let Some((found, instead)) = UNSUPPORTED.iter().chain(with_dollar).find(|(option, _)| *option == name) {
        return Err(Error::unsupported(format!("${found}"), *instead));
    }
    if dollar { Err(unknown(sent, &name, SUPPORTED.iter().copied())) } else { Ok(None) }
}

fn unknown<'a>(sent: &str, name: &str, options: impl Iterator<Item = &'a str>) -> Error {
    let near = crate::model::nearest(name, options);
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `${near}`?"));
    Error::invalid(sent, format!("OData has no such option{hint}"))
}

/// Reads a number of rows: digits only.
///
/// # Errors
/// [`Error::Invalid`]
pub fn whole_number(option: &RawOption, target: &str) -> Result<u64, Error> {
    let digits = !option.value.is_empty() && option.value.bytes().all(|byte| byte.is_ascii_digit());
    let refused = || Error::invalid(target, format!("a whole number from 0 is expected, not `{}`", option.value));
    if digits { option.value.parse().map_err(|_| refused()) } else { Err(refused()) }
}

/// Reads `true` or `false` in any case.
///
/// # Errors
/// [`Error::Invalid`]
pub fn boolean(option: &RawOption, target: &str) -> Result<bool, Error> {
    match option.value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::invalid(target, format!("true or false is expected, not `{}`", option.value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::parse_query;

    fn sort(query: &str) -> Result<Options, Error> {
        Options::sort(parse_query(query).unwrap())
    }

    #[test]
    fn names_go_with_or_without_dollar_in_any_case() {
        let mut options = sort("$TOP=1&Filter=a&mine=x&@p=1").unwrap();
        assert_eq!(options.take("top").unwrap().value, "1");
        assert_eq!(options.take("filter").unwrap().value, "a");
        assert!(options.nothing_left("x").is_ok() && options.aliases.contains_key("@p"));
    }

    #[test]
    fn doubles_unknown_and_unsupported_options_are_refused_by_name() {
        assert_eq!(sort("$top=1&top=2").unwrap_err().target(), Some("$top"));
        let unknown = sort("$fliter=1").unwrap_err();
        assert!(unknown.status() == 400 && unknown.to_string().contains("`$filter`"), "{unknown}");
        for name in ["$expand", "$apply", "$search", "$compute", "search", "$id"] {
            assert_eq!(sort(&format!("{name}=x")).unwrap_err().status(), 501, "{name}");
        }
        assert!(sort("id=x").is_ok());
    }

    #[test]
    fn numbers_of_rows_are_digits_only() {
        let read = |text: &str| {
            let option = RawOption { name: String::new(), value: text.into(), form_value: None };
            whole_number(&option, "$top")
        };
        assert_eq!(read("10"), Ok(10));
        for text in ["", "-1", "+1", "1.0", "1e3", "99999999999999999999"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
