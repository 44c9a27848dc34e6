//! Paths into a JSON value: the part of JSONPath (RFC 9535) that names exactly one place, so that a point has at most one
//! value in a payload.
//!
//! `$.motor.temp`, `motor.temp`, `sensors[0].value`, `['a.b'].c`, `$` (the payload itself). `[*]` is understood only at
//! the end of the path of an array (see [`Path::parse_each`]).

use std::fmt;

/// Most steps of a path. JSON deeper than 128 levels is refused by the parser anyway.
pub(crate) const MAX_STEPS: usize = 64;

/// One step down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Into an object, by name.
    Field(String),
    /// Into an array, by index from 0.
    Item(usize),
}

/// Where in a JSON value something is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Path(pub(crate) Vec<Step>);

/// Why a text is no path, as half a sentence: what is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PathError(pub(crate) String);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// [`PathError`] naming the character, counted from 1, where it stops being one.
    pub(crate) fn parse(text: &str) -> Result<Path, PathError> {
        let mut steps = Vec::new();
        let mut rest = match text.strip_prefix('$') {
            Some(rest) => rest,
            None if text.is_empty() => return Err(PathError("an empty path; `$` is the payload itself".into())),
            None => text,
        };
        let mut may_start_bare = !text.starts_with('$');
        while !rest.is_empty() {
            let at = text[..text.len() - rest.len()].chars().count() + 1;
            if steps.len() == MAX_STEPS {
                return Err(PathError(format!("a path of more than {MAX_STEPS} steps")));
            }
            let (step, after) = next_step(rest, may_start_bare)
                .map_err(|what| PathError(format!("{what} at character {at} of `{text}`")))?;
            steps.push(step);
            rest = after;
            may_start_bare = false;
        }
        Ok(Path(steps))
    }

    /// Reads the path of an array's elements, which ends in `[*]`, and gives the array's own.
    ///
    /// # Errors
    /// [`PathError`] where it does not end so, or what comes before is no path.
    pub(crate) fn parse_each(text: &str) -> Result<Path, PathError> {
        match text.strip_suffix("[*]") {
            Some("") => Ok(Path::default()),
            Some(array) => Path::parse(array),
            None => Err(PathError(format!("`{text}` does not end in `[*]`, the elements of an array"))),
        }
    }
}

/// The first step of `rest` and what follows it.
fn next_step(rest: &str, may_start_bare: bool) -> Result<(Step, &str), String> {
    if let Some(inside) = rest.strip_prefix('[') {
        return bracket(inside);
    }
    let name = match rest.strip_prefix('.') {
        Some(name) => name,
        None if may_start_bare => rest,
        None => return Err("expected `.name` or `[…]`".into()),
    };
    let end = name.find(['.', '[']).unwrap_or(name.len());
    match &name[..end] {
        "" => Err("expected a name after `.`".into()),
        "*" => Err("`*` stands for several places, a point has one; see `each`".into()),
        field => Ok((Step::Field(field.to_owned()), &name[end..])),
    }
}

/// The step inside brackets, and what follows the closing one.
fn bracket(inside: &str) -> Result<(Step, &str), String> {
    if let Some(quote) = inside.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        let name = &inside[1..];
        let end = name.find(quote).ok_or_else(|| format!("a name without its closing {quote}"))?;
        let after = name[end + 1..].strip_prefix(']').ok_or("a `[` without its `]`")?;
        return Ok((Step::Field(name[..end].to_owned()), after));
    }
    let (index, after) = inside.split_once(']').ok_or("a `[` without its `]`")?;
    match index {
        "*" => Err("`[*]` stands for several places, a point has one; see `each`".into()),
        _ => index.parse().map(|item| (Step::Item(item), after)).map_err(|_| {
            format!("`[{index}]` is neither an index from 0, such as `[0]`, nor a quoted name, such as `['a b']`")
        }),
    }
}

/// Whether a name written bare would be read as something else.
fn needs_quotes(name: &str, position: usize) -> bool {
    let is_root = position == 0 && name.starts_with('$');
    name.is_empty() || name == "*" || is_root || name.contains(['.', '[', ']'])
}

/// Without `$.` in front, as a point is named by it: `sensors[0].value`; `$` for the payload itself.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("$");
        }
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Field(name) if needs_quotes(name, position) => write!(f, "['{name}']")?,
                Step::Field(name) if position == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(name: &str) -> Step {
        Step::Field(name.into())
    }

    #[test]
    fn the_usual_spellings_name_the_same_place() {
        let expected = Path(vec![field("sensors"), Step::Item(0), field("value")]);
        for text in ["$.sensors[0].value", "sensors[0].value", "$['sensors'][0]['value']", "[\"sensors\"][0].value"] {
            assert_eq!(Path::parse(text), Ok(expected.clone()), "{text}");
        }
        assert_eq!(expected.to_string(), "sensors[0].value");
        assert_eq!(Path::parse("$"), Ok(Path::default()));
        for quoted in ["['a.b']", "['$']", "['*']"] {
            assert_eq!(Path::parse(quoted).expect("a path").to_string(), quoted);
        }
        assert_eq!(Path::parse(".$").expect("a path").to_string(), "['$']");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |text: &str| Path::parse(text).expect_err(text).0;
        assert_eq!(wrong("a..b"), "expected a name after `.` at character 2 of `a..b`");
        assert!(wrong("a[-1]").contains("`[-1]` is neither an index from 0"));
        assert!(wrong("$.a[*].b").contains("several places"));
        assert!(wrong("a[0").contains("without its `]`"));
        assert!(wrong("$a").contains("expected `.name`"));
        assert!(wrong("").contains("empty"));
        assert!(wrong(&"a.".repeat(100)).contains("more than 64"));
    }

    #[test]
    fn the_elements_of_an_array_end_in_a_star() {
        assert_eq!(Path::parse_each("$.m[*]"), Path::parse("m"));
        assert_eq!(Path::parse_each("[*]"), Ok(Path::default()));
        assert!(Path::parse_each("$.m").expect_err("no star").0.contains("does not end in `[*]`"));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_parses_prints_as_itself(text in "\\PC{0,30}") {
            // A name with both an apostrophe and a bracket cannot be written.
            if let Ok(path) = Path::parse(&text) && !text.contains('\'') {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
