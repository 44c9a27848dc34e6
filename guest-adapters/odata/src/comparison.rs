//! The settings against the service's metadata: what is missing or does not fit, with the nearest name that is there.

use crate::edm::EdmType;
use crate::metadata::{Declared, Metadata, SetType};
use crate::settings::{PropertySettings, Settings};

/// What a comparison found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Comparison {
    /// What cannot work.
    pub(crate) mistakes: Vec<String>,
    /// What may not.
    pub(crate) remarks: Vec<String>,
}

/// Whether the settings name one of the service's own entity sets, rather than a path to a collection.
pub(crate) fn is_plain_set(entity_set: &str) -> bool {
    !entity_set.trim_start_matches('/').contains(['/', '(', '?'])
}

/// Compares.
pub(crate) fn compare(metadata: &Metadata, settings: &Settings) -> Comparison {
    let mut found = Comparison::default();
    let set = settings.entity_set.trim_start_matches('/');
    let Some(set_type) = metadata.set_type(set) else {
        let names = metadata.sets.keys().map(String::as_str);
        found.mistakes.push(format!("there is no entity set `{set}`{}", near(set, names)));
        return found;
    };
    for property in &settings.properties {
        found.mistakes.extend(property_mistake(property, &set_type, set));
    }
    let is_sent = |name: &str| settings.properties.iter().any(|property| property.name == name);
    for declared in &set_type.properties {
        let is_due = !declared.is_nullable && !declared.has_default;
        if is_due && !is_sent(&declared.name) {
            found.remarks.push(format!("`{}` must not be null and is not sent", declared.name));
        }
    }
    if let Some(upsert) = &settings.upsert {
        let mut ours = upsert.key.clone();
        let mut theirs = set_type.key.clone();
        ours.sort();
        theirs.sort();
        if ours != theirs {
            found.mistakes.push(format!("upsert.key: the key of `{set}` is {}", set_type.key.join(", ")));
        }
    }
    found
}

fn property_mistake(property: &PropertySettings, set_type: &SetType, set: &str) -> Option<String> {
    let name = &property.name;
    let Some(declared) = set_type.properties.iter().find(|declared| declared.name == *name) else {
        if set_type.is_open {
            return None;
        }
        let names = set_type.properties.iter().map(|declared| declared.name.as_str());
        return Some(format!("`{set}` has no property `{name}`{}", near(name, names)));
    };
    if !fits(property.edm_type, &declared.type_name) {
        return Some(format!("`{name}` is {}, the settings say {}", declared.type_name, property.edm_type.name()));
    }
    facet_mistake(property, declared)
}

/// Whether what is written as `ours` can be read as `theirs`. An enumeration is written as a text.
fn fits(ours: EdmType, theirs: &str) -> bool {
    use EdmType as T;
    if ours.name() == theirs {
        return true;
    }
    match ours {
        T::String => !theirs.starts_with("Edm.") && !theirs.starts_with("Collection("),
        T::Byte => ["Edm.Int16", "Edm.Int32", "Edm.Int64", "Edm.Decimal", "Edm.Double", "Edm.Single"].contains(&theirs),
        T::SByte => {
            ["Edm.Int16", "Edm.Int32", "Edm.Int64", "Edm.Decimal", "Edm.Double", "Edm.Single"].contains(&theirs)
        }
        T::Int16 => ["Edm.Int32", "Edm.Int64", "Edm.Decimal", "Edm.Double", "Edm.Single"].contains(&theirs),
        T::Int32 => ["Edm.Int64", "Edm.Decimal", "Edm.Double"].contains(&theirs),
        T::Single => theirs == "Edm.Double",
        _ => false,
    }
}

fn facet_mistake(property: &PropertySettings, declared: &Declared) -> Option<String> {
    let name = &property.name;
    match property.edm_type {
        EdmType::DateTimeOffset | EdmType::TimeOfDay => {
            let ours = property.precision.unwrap_or(3);
            let theirs = declared.precision.filter(|&theirs| ours > theirs)?;
            Some(format!("`{name}` takes {theirs} digits of a second's fraction; set precision = {theirs}"))
        }
        EdmType::Decimal => {
            let theirs = declared.scale.filter(|&theirs| property.scale.is_some_and(|ours| ours > theirs))?;
            Some(format!("`{name}` takes {theirs} digits after the point; set scale = {theirs}"))
        }
        _ => None,
    }
}

/// `; did you mean …?` with the nearest name, or all of them where they are few.
fn near<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let likeness = |other: &&str| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let nearest = names.iter().map(|other| (likeness(other), *other)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, nearest)) if likeness > 0.8 => format!("; did you mean `{nearest}`?"),
        Some(_) if names.len() <= 12 => format!("; there are {}", names.join(", ")),
        Some(_) => format!("; there are {}, … ({} in all)", names[..12].join(", "), names.len()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::PLANT;

    fn found(settings: serde_json::Value) -> Comparison {
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        compare(&Metadata::parse(PLANT).expect("CSDL"), &settings)
    }

    #[test]
    fn what_fits_has_no_mistakes_but_what_is_due_is_remarked() {
        let found = found(
            serde_json::json!({ "entity_set": "Measurements", "upsert": { "key": ["Time", "Device"] }, "properties": [
            { "name": "Device", "from": "point", "type": "Edm.String" },
            { "name": "Time", "from": "time", "type": "Edm.DateTimeOffset" },
            { "name": "Value", "from": "value", "type": "Edm.Decimal", "scale": 4 },
            { "name": "Quality", "from": "status_name", "type": "Edm.String" },
        ] }),
        );
        assert_eq!(found.mistakes, Vec::<String>::new());
        assert_eq!(found.remarks, ["`Shift` must not be null and is not sent"]);
    }

    #[test]
    fn what_does_not_fit_is_said_with_near_names() {
        let found =
            found(serde_json::json!({ "entity_set": "Measurements", "upsert": { "key": ["Device"] }, "properties": [
            { "name": "Devise", "from": "point", "type": "Edm.String" },
            { "name": "Device", "from": "seq", "type": "Edm.Int64" },
            { "name": "Time", "from": "time", "type": "Edm.DateTimeOffset", "precision": 6 },
            { "name": "Value", "from": "value", "type": "Edm.Decimal", "scale": 6 },
            { "name": "Zzz", "from": "value", "type": "Edm.Double" },
        ] }));
        assert_eq!(
            found.mistakes,
            [
                "`Measurements` has no property `Devise`; did you mean `Device`?",
                "`Device` is Edm.String, the settings say Edm.Int64",
                "`Time` takes 3 digits of a second's fraction; set precision = 3",
                "`Value` takes 4 digits after the point; set scale = 4",
                "`Measurements` has no property `Zzz`; there are Value, Quality, Shift, Device, Time",
                "upsert.key: the key of `Measurements` is Device, Time",
            ]
        );
        let missing = self::found(serde_json::json!({ "entity_set": "Measurments", "properties": [] }));
        assert_eq!(missing.mistakes, ["there is no entity set `Measurments`; did you mean `Measurements`?"]);
    }
}
