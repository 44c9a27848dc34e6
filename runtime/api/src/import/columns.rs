//! What the columns of a file are, by its header and the client's mapping. Pure.

use super::settings::{Role, Settings, Shape};

/// Names of columns that are understood without a mapping, in lower case. Those of this API's own exports are among them.
const NAMES: [(&str, Role); 10] = [
    ("time", Role::Time),
    ("timestamp", Role::Time),
    ("connection", Role::Connection),
    ("point", Role::Point),
    ("value", Role::Value),
    ("status", Role::Status),
    ("unit", Role::Unit),
    ("kind", Role::Kind),
    ("seq", Role::Ignore),
    ("pointid", Role::Ignore),
];
/// Further columns of exports, which say again what others do.
const SAID_AGAIN: [&str; 11] = [
    "status_name",
    "statusname",
    "good",
    "numericvalue",
    "booleanvalue",
    "integervalue",
    "decimalvalue",
    "textvalue",
    "timevalue",
    "durationvalue",
    "bytesvalue",
];

/// The columns of a file: a name and a role each, in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Columns(pub(super) Vec<(String, Role)>);

impl Columns {
    /// By a header's names.
    ///
    /// # Errors
    /// In words: a column that is missing, stands twice, or is not understood.
    pub(super) fn of(header: &[String], settings: &Settings) -> Result<Self, String> {
        if let Some(missing) = settings.map.keys().find(|column| !header.contains(column)) {
            return Err(format!(
                "there is no column `{missing}`, which a mapping names; there are: {}",
                header.join(", ")
            ));
        }
        let standard: Vec<Option<Role>> =
            header.iter().map(|name| settings.map.get(name).cloned().or_else(|| standard_role(name))).collect();
        let has = |role: &Role| standard.iter().flatten().any(|known| known == role);
        let shape = settings.shape.unwrap_or(if has(&Role::Value) { Shape::Rows } else { Shape::Columns });
        let columns: Vec<(String, Role)> = header
            .iter()
            .zip(standard)
            .map(|(name, role)| match (role, shape) {
                (Some(role), _) => Ok((name.clone(), role)),
                (None, Shape::Columns) => Ok((name.clone(), Role::Of(name.clone()))),
                (None, Shape::Rows) => Err(format!(
                    "the column `{name}` is not understood: map it to a role, or to `ignore` ({name}=ignore)"
                )),
            })
            .collect::<Result<_, _>>()?;
        let count = |wanted: &Role| columns.iter().filter(|(_, role)| role == wanted).count();
        for role in [Role::Time, Role::Connection, Role::Point, Role::Value, Role::Status, Role::Unit, Role::Kind] {
            if count(&role) > 1 {
                return Err(format!("more than one column is the {role:?}: map all but one to `ignore`").to_lowercase());
            }
        }
        for (at, (name, role)) in columns.iter().enumerate() {
            if matches!(role, Role::Of(_)) && columns[..at].iter().any(|(_, before)| before == role) {
                return Err(format!("the column `{name}` is of a point that another column is of, too"));
            }
        }
        let needed = |role: Role, given: bool, hint: &str| match count(&role) > 0 || given {
            true => Ok(()),
            false => Err(format!("no column is the {hint}; there are: {}", header.join(", "))),
        };
        needed(Role::Time, false, "time (map one: column=time)")?;
        needed(
            Role::Connection,
            settings.connection.is_some(),
            "connection (name one by `connection`, or map a column)",
        )?;
        if shape == Shape::Rows {
            needed(Role::Point, settings.point.is_some(), "point (name one by `point`, or map a column)")?;
            needed(Role::Value, false, "value (map one: column=value)")?;
        } else if !columns.iter().any(|(_, role)| matches!(role, Role::Of(_))) {
            return Err("no column holds values".to_owned());
        } else if let Some((name, _)) = columns.iter().find(|(_, role)| matches!(role, Role::Point | Role::Value)) {
            return Err(format!("`{name}` does not go together with a column for each point"));
        }
        Ok(Self(columns))
    }
}

fn standard_role(name: &str) -> Option<Role> {
    let name = name.trim().to_lowercase();
    let said_again = || SAID_AGAIN.contains(&name.as_str()).then_some(Role::Ignore);
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, role)| role.clone()).or_else(said_again)
}

/// The delimiter that a header has most of outside of quotes; a comma where it has none.
pub(super) fn delimiter_of(beginning: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in beginning {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            byte if !quoted => counts.iter_mut().filter(|(known, _)| known == byte).for_each(|(_, count)| *count += 1),
            _ => {}
        }
    }
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str, query: &str) -> Result<Vec<Role>, String> {
        let settings = Settings::of("text/csv", Some(query)).unwrap();
        let header: Vec<String> = header.split(',').map(str::to_owned).collect();
        Columns::of(&header, &settings).map(|columns| columns.0.into_iter().map(|(_, role)| role).collect())
    }

    #[test]
    fn a_header_and_a_mapping_say_what_columns_are() {
        let long = [Role::Ignore, Role::Connection, Role::Point, Role::Time, Role::Status, Role::Ignore, Role::Value];
        assert_eq!(of("Seq,Connection,Point,Time,Status,StatusName,Value", "").unwrap(), long);
        let point = |name: &str| Role::Of(name.to_owned());
        assert_eq!(of("time,flow,pump", "connection=b").unwrap(), [Role::Time, point("flow"), point("pump")]);
        let telegraf = of("timestamp,host,temp", "connection=b&map=host=ignore&map=temp=point:flow").unwrap();
        assert_eq!(telegraf, [Role::Time, Role::Ignore, point("flow")]);
        let node_red =
            of("when,topic,payload", "connection=b&map=when=time&map=topic=point&map=payload=value").unwrap();
        assert_eq!(node_red, [Role::Time, Role::Point, Role::Value]);
    }

    #[test]
    fn a_header_that_says_too_little_or_too_much_is_refused_in_words() {
        for (header, query, part) in [
            ("a,b", "connection=b", "no column is the time"),
            ("time,value", "connection=b", "no column is the point"),
            ("time,value,point", "", "no column is the connection"),
            ("time,value,point,host", "connection=b", "`host` is not understood"),
            ("time,timestamp,flow", "connection=b", "more than one column"),
            ("time,flow,flow", "connection=b", "another column"),
            ("time,flow", "connection=b&map=temp=value", "no column `temp`"),
            ("time,point,flow", "connection=b", "does not go together"),
            ("time", "connection=b", "no column holds values"),
        ] {
            let error = of(header, query).unwrap_err();
            assert!(error.contains(part), "{header} {query}: {error}");
        }
    }

    #[test]
    fn the_delimiter_is_the_one_that_a_header_has_most_of() {
        for (header, delimiter) in
            [("a;b;c,d\n,,,,,", b';'), ("a\tb", b'\t'), ("\"a;;;\",b", b','), ("a", b','), ("", b',')]
        {
            assert_eq!(delimiter_of(header.as_bytes()), delimiter, "{header}");
        }
    }
}
