//! Filters of topics and paths whose wildcards have names: `plant/+line/+device/telemetry`.
//!
//! `+` and `#` match as in MQTT (MQTT 5.0 §4.7): `+` one level, `#` at the end all further ones and also none, and neither
//! matches a first level that begins with `$`. What they matched is captured: by position, from 1, and by name.

/// A compiled filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Filter {
    levels: Vec<Level>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Level {
    Exact(String),
    /// One level; the name may be empty.
    One(String),
    /// All further levels; the name may be empty.
    Rest(String),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// A sentence: what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Filter, String> {
        if text.is_empty() || text.contains('\0') {
            return Err(format!("`{text}` is no topic filter: it is empty or holds a NUL"));
        }
        let levels: Vec<Level> = text.split('/').map(|level| parse_level(level, text)).collect::<Result<_, _>>()?;
        if let Some(place) = levels.iter().position(|level| matches!(level, Level::Rest(_)))
            && place + 1 < levels.len()
        {
            return Err(format!("`{text}`: `#` stands for all further levels, so nothing can follow it"));
        }
        let filter = Filter { levels };
        let names: Vec<&str> = filter.names().filter(|name| !name.is_empty()).collect();
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            Some((_, name)) => Err(format!("`{text}`: two wildcards are named `{name}`")),
            None => Ok(filter),
        }
    }

    /// The names of the wildcards in order; empty where one has none.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().filter_map(|level| match level {
            Level::Exact(_) => None,
            Level::One(name) | Level::Rest(name) => Some(name.as_str()),
        })
    }

    /// The one topic of a filter without wildcards.
    pub(crate) fn only_topic(&self) -> Option<String> {
        let exact = self.levels.iter().map(|level| match level {
            Level::Exact(text) => Some(text.as_str()),
            _ => None,
        });
        exact.collect::<Option<Vec<_>>>().map(|levels| levels.join("/"))
    }

    /// What the wildcards matched, in order; none: the topic does not match.
    pub(crate) fn captures<'t>(&self, topic: &'t str) -> Option<Vec<&'t str>> {
        let starts_with_wildcard = !matches!(self.levels.first(), Some(Level::Exact(_)));
        if starts_with_wildcard && topic.starts_with('$') {
            return None;
        }
        let mut captured = Vec::new();
        // What is left of the topic; none: nothing, not even an empty level.
        let mut left = Some(topic);
        for level in &self.levels {
            if let Level::Rest(_) = level {
                captured.push(left.unwrap_or_default());
                return Some(captured);
            }
            let (head, tail) = match left?.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (left?, None),
            };
            match level {
                Level::Exact(text) if text != head => return None,
                Level::Exact(_) => {}
                _ => captured.push(head),
            }
            left = tail;
        }
        left.is_none().then_some(captured)
    }

    /// What a name template may use of a topic: `1`, `2`, … and the wildcards' names, and `topic`.
    pub(crate) fn fill(&self, key: &str, topic: &str, captured: &[&str]) -> Option<String> {
        if key == "topic" {
            return Some(topic.to_owned());
        }
        let by_name = self.names().position(|name| !name.is_empty() && name == key);
        let index = by_name.or_else(|| key.parse::<usize>().ok()?.checked_sub(1))?;
        captured.get(index).map(|&text| text.to_owned())
    }
}

fn parse_level(level: &str, filter: &str) -> Result<Level, String> {
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
    match level.chars().next() {
        Some(sign @ ('+' | '#')) => {
            let name = &level[1..];
            let is_free = !name.chars().all(|c| c.is_ascii_digit()) || name.is_empty();
            if !is_name(name) || !is_free || matches!(name, "path" | "topic") {
                return Err(format!(
                    "`{filter}`: `{level}` is no wildcard; a name is letters, digits and `_`, not a number, `path` or `topic`"
                ));
            }
            Ok(if sign == '+' { Level::One(name.to_owned()) } else { Level::Rest(name.to_owned()) })
        }
        _ if level.contains(['+', '#']) => {
            Err(format!("`{filter}`: a wildcard stands for a whole level, `{level}` has one inside"))
        }
        _ => Ok(Level::Exact(level.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn captures<'t>(filter: &str, topic: &'t str) -> Option<Vec<&'t str>> {
        Filter::parse(filter).expect(filter).captures(topic)
    }

    #[test]
    fn wildcards_match_as_in_mqtt_and_capture() {
        assert_eq!(captures("plant/+line/+/t", "plant/l1/d2/t"), Some(vec!["l1", "d2"]));
        assert_eq!(captures("plant/+/t", "plant/a/b/t"), None);
        assert_eq!(captures("a/#rest", "a/b/c"), Some(vec!["b/c"]));
        assert_eq!(captures("a/#", "a"), Some(vec![""]));
        assert_eq!(captures("a/#", "ab"), None);
        assert_eq!(captures("+/b", "/b"), Some(vec![""]));
        assert_eq!(captures("a", "a/"), None);
        assert_eq!(captures("a/+", "a"), None);
        assert_eq!(captures("#", "$SYS/x"), None);
        assert_eq!(captures("+/x", "$SYS/x"), None);
        assert_eq!(captures("$SYS/#", "$SYS/x"), Some(vec!["x"]));
    }

    #[test]
    fn templates_use_names_and_positions() {
        let filter = Filter::parse("plant/+line/+/#tail").expect("a filter");
        let captured = filter.captures("plant/l1/d2/x/y").expect("a match");
        let fill = |key: &str| filter.fill(key, "plant/l1/d2/x/y", &captured);
        assert_eq!(fill("line").as_deref(), Some("l1"));
        assert_eq!(fill("2").as_deref(), Some("d2"));
        assert_eq!(fill("tail").as_deref(), Some("x/y"));
        assert_eq!(fill("topic").as_deref(), Some("plant/l1/d2/x/y"));
        assert_eq!((fill("0"), fill("4"), fill("device"), fill("")), (None, None, None, None));
    }

    #[test]
    fn what_is_no_filter_is_said() {
        for (filter, expected) in [
            ("", "empty"),
            ("a/#/b", "nothing can follow"),
            ("a/b+", "whole level"),
            ("a/+x/+x", "two wildcards are named `x`"),
            ("a/+1", "is no wildcard"),
            ("a/+path", "is no wildcard"),
        ] {
            let message = Filter::parse(filter).expect_err(filter);
            assert!(message.contains(expected), "{message}");
        }
    }

    proptest! {
        #[test]
        fn a_match_put_back_into_the_filter_is_the_topic(filter in "([ab]|\\+){1}(/([ab]|\\+)){0,4}(/#)?", topic in "[ab]?(/[ab]?){0,5}") {
            let parsed = Filter::parse(&filter).expect("a filter");
            if let Some(captured) = parsed.captures(&topic) {
                let mut captured = captured.into_iter();
                let levels: Vec<&str> = filter.split('/')
                    .map(|level| if matches!(level, "+" | "#") { captured.next().expect("one a wildcard") } else { level })
                    .collect();
                let back = levels.join("/");
                prop_assert!(back == topic || back == format!("{topic}/"), "{} {}", back, topic);
            }
        }
    }
}
