//! Topic names and filters (MQTT 3.1.1 and 5, §4.7): which are valid, and which topic a filter lets through. Pure.

/// Longest topic in bytes (§4.7.3).
const TOPIC_MAX: usize = 65_535;

/// Whether a message can be published to it: no wildcards, not empty.
pub(crate) fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= TOPIC_MAX && !topic.contains(['+', '#', '\0'])
}

/// Whether it can be subscribed to: `#` only as the last level, `+` only as a whole level. A shared subscription,
/// `$share/group/filter`, is one.
pub(crate) fn is_filter(filter: &str) -> bool {
    let Some(filter) = unshared(filter) else { return false };
    let mut levels = filter.split('/').peekable();
    let mut valid = !filter.is_empty() && filter.len() <= TOPIC_MAX && !filter.contains('\0');
    while let Some(level) = levels.next() {
        valid &= match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            _ => !level.contains(['+', '#']),
        };
    }
    valid
}

/// Whether a filter lets a topic through. Wildcards at the beginning do not match topics that begin with `$` (§4.7.2).
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let Some(filter) = unshared(filter) else { return false };
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// The filter of a shared subscription, or the filter itself.
fn unshared(filter: &str) -> Option<&str> {
    match filter.strip_prefix("$share/") {
        Some(rest) => rest.split_once('/').filter(|(group, _)| !group.is_empty()).map(|(_, filter)| filter),
        None => Some(filter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sports", false),
            ("#", "a/b", true),
            ("+", "/finance", false),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/tennis/#", "sport/tennis", true),
            ("#", "$SYS/monitor", false),
            ("+/monitor", "$SYS/monitor", false),
            ("$SYS/#", "$SYS/monitor", true),
            ("$share/gateways/plant/+", "plant/a", true),
            ("a/b", "a", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn wrong_filters_and_topics_are_refused() {
        for filter in ["", "sport/tennis#", "sport/#/ranking", "sport+", "+a/b", "$share/x", "$share//x", "a\0"] {
            assert!(!is_filter(filter), "{filter}");
        }
        for filter in ["#", "+", "a/+/b", "/", "a/#", "$share/g/#"] {
            assert!(is_filter(filter), "{filter}");
        }
        assert!(is_topic("a/b") && !is_topic("a/+") && !is_topic("") && !is_topic("#"));
    }
}
