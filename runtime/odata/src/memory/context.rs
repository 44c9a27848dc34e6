//! Addresses and context URLs (Part 1 §10).

use crate::json::{Style, key_literal};
use crate::model::Type;
use crate::negotiate::Version;
use crate::typed::Types;
use crate::url::encode_segment;
use crate::value::{Home, Record};
use crate::view::{Expand, Expanded, Select, Shape, Way};

/// The address of an entity below the root; none for a record that is no entity with an address.
pub(super) fn address(types: &Types<'_>, record: &Record) -> Option<String> {
    let model = types.model();
    match record.home {
        Home::Singleton(place) => Some(model.singletons()[place].name.clone()),
        Home::None => None,
        Home::Set(place) => {
            let structured = types.structured(record.ty);
            let parts: Vec<String> = structured
                .key
                .iter()
                .zip(structured.key_positions())
                .map(|(name, position)| {
                    let value = record.values.get(position).unwrap_or(&crate::Value::Null);
                    let literal = encode_segment(&key_literal(value));
                    if structured.key.len() == 1 { literal } else { format!("{name}={literal}") }
                })
                .collect();
            Some(format!("{}({})", model.entity_sets()[place].name, parts.join(",")))
        }
    }
}

/// The name of where entities are found, as a context has it.
pub(super) fn home_name<'m>(types: &Types<'m>, home: Home) -> Option<&'m str> {
    match home {
        Home::Set(place) => Some(&types.model().entity_sets()[place].name),
        Home::Singleton(place) => Some(&types.model().singletons()[place].name),
        Home::None => None,
    }
}

/// The type that is declared for where entities are found.
pub(super) fn declared(types: &Types<'_>, home: Home) -> Option<usize> {
    match home {
        Home::Set(place) => types.model().type_place(&types.model().entity_sets()[place].entity_type),
        Home::Singleton(place) => types.model().type_place(&types.model().singletons()[place].entity_type),
        Home::None => None,
    }
}

/// The context of entities: `Products/Shop.Special(Name,Category())/$entity`.
pub(super) fn of_entities(
    style: Style<'_>,
    types: &Types<'_>,
    home: Home,
    ty: Type,
    shape: &Shape,
    single: bool,
) -> String {
    let mut text = match home_name(types, home) {
        Some(name) => name.to_owned(),
        None => types.name(Type { collection: !single, ..ty }),
    };
    let declared = declared(types, home);
    let place = ty.structure();
    if let (Some(declared), Some(of_model)) = (declared, place.and_then(|place| types.of_model(place)))
        && declared != of_model
    {
        text.push_str(&format!("/{}", types.name(Type::structured(of_model))));
    }
    if let Some(place) = place {
        text.push_str(&list(style, types, place, shape));
    }
    // A singleton is one by its name, and a type as well.
    if single && matches!(home, Home::Set(_)) {
        text.push_str("/$entity");
    }
    format!("{}$metadata#{text}", style.root)
}

/// The properties of a shape in parentheses; nothing where all are meant.
pub(super) fn list(style: Style<'_>, types: &Types<'_>, place: usize, shape: &Shape) -> String {
    let mut items = Vec::new();
    match &shape.select {
        Some(select) => {
            if select.star {
                items.push("*".to_owned());
            }
            items.extend(select.operations.iter().cloned());
            selected(select, "", types, &mut items);
        }
        None if types.of_model(place).is_none() => items.extend(made(types, place)),
        None => {}
    }
    items.extend(shape.expand.iter().filter_map(|expand| expanded(style, types, expand)));
    if items.is_empty() { String::new() } else { format!("({})", items.join(",")) }
}

/// The names of properties: those of complex ones behind theirs, those of derived types behind the types'.
fn selected(select: &Select, before: &str, types: &Types<'_>, items: &mut Vec<String>) {
    for (name, inner) in &select.items {
        let mut prefixes: Vec<String> =
            select.only_of(name).map(|place| format!("{before}{}/", types.name(Type::structured(place)))).collect();
        if prefixes.is_empty() {
            prefixes.push(before.to_owned());
        }
        for prefix in prefixes {
            let path = format!("{prefix}{name}");
            match &inner.select {
                Some(parts) if !parts.items.is_empty() && !parts.star => {
                    selected(parts, &format!("{path}/"), types, items);
                }
                _ => items.push(path),
            }
        }
    }
}

/// The properties of a type that a request has made.
fn made(types: &Types<'_>, place: usize) -> Vec<String> {
    let properties = types.structured(place).properties.iter().filter(|property| !property.name.is_empty());
    properties
        .map(|property| match property.ty.structure().filter(|place| types.of_model(*place).is_none()) {
            Some(inner) => format!("{}({})", property.name, made(types, inner).join(",")),
            None => property.name.clone(),
        })
        .collect()
}

/// 4.0 names only expansions of which not all is wanted; references, counts and streams are not named.
fn expanded(style: Style<'_>, types: &Types<'_>, expand: &Expand) -> Option<String> {
    let way: String = expand
        .way
        .iter()
        .map(|way| match way {
            Way::Property(name) => format!("{name}/"),
            Way::Cast(place) => format!("{}/", types.name(Type::structured(*place))),
        })
        .collect();
    let name = format!("{way}{}", expand.name);
    match expand.what {
        Expanded::Count | Expanded::References | Expanded::Stream => None,
        Expanded::Entities | Expanded::Inline => {
            let inner = expand.view.row.structure().map(|place| list(style, types, place, &expand.view.shape));
            let inner = inner.unwrap_or_default();
            let plus = if expand.levels > 1 { "+" } else { "" };
            match inner.is_empty() {
                true if style.negotiated.version == Version::V4_0 => None,
                true => Some(format!("{name}{plus}()")),
                false => Some(format!("{name}{plus}{inner}")),
            }
        }
    }
}
