//! Names of points: a template whose `{path}` is the point's own name.

/// A template with everything but `{path}` filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Naming(Vec<String>);

impl Naming {
    /// The point's own name alone.
    #[must_use]
    pub fn plain() -> Naming {
        Naming(vec![String::new(), String::new()])
    }

    /// Fills a template: `{path}` stays open, every other `{…}` is given by `fill`.
    ///
    /// # Errors
    /// A sentence: a brace without its partner, or a name in braces that `fill` does not know.
    pub fn new(template: &str, fill: impl Fn(&str) -> Option<String>) -> Result<Naming, String> {
        let mut parts = vec![String::new()];
        let mut rest = template;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(open);
            let close = from.find('}').filter(|_| from.starts_with('{'));
            let close = close.ok_or_else(|| format!("`{template}`: a brace without its partner"))?;
            let filled = match &from[1..close] {
                "path" => None,
                key => Some(
                    fill(key).ok_or_else(|| format!("`{template}`: `{{{key}}}` is nothing that can be filled in"))?,
                ),
            };
            if let Some(last) = parts.last_mut() {
                last.push_str(before);
                last.push_str(filled.as_deref().unwrap_or_default());
            }
            if filled.is_none() {
                parts.push(String::new());
            }
            rest = &from[close + 1..];
        }
        if let Some(last) = parts.last_mut() {
            last.push_str(rest);
        }
        Ok(Naming(parts))
    }

    /// Whether the template has a `{path}`, without which all points would have one name.
    #[must_use]
    pub fn has_path(&self) -> bool {
        self.0.len() > 1
    }

    /// The full name of a point.
    #[must_use]
    pub fn name(&self, path: &str) -> String {
        self.0.join(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_and_mistakes_named() {
        let fill = |key: &str| (key == "line").then(|| "l1".to_owned());
        let naming = Naming::new("{line}.{path}/x", fill).expect("a template");
        assert_eq!((naming.name("temp"), naming.has_path()), ("l1.temp/x".to_owned(), true));
        assert!(!Naming::new("{line}", fill).expect("a template").has_path());
        assert_eq!(Naming::plain().name("a"), "a");
        assert!(Naming::new("{device}", fill).expect_err("unknown").contains("`{device}`"));
        for broken in ["{line", "line}", "}{"] {
            assert!(Naming::new(broken, fill).expect_err(broken).contains("without its partner"));
        }
    }
}
