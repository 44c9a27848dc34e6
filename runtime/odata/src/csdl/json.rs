//! The model as CSDL JSON (CSDL JSON 4.01).

use super::{
    Annotation, BINDING_PARAMETER, Capabilities, Term, bindings, description, facets, of_container, of_property,
    of_schema, of_set, partner, qualified, vocabularies,
};
use crate::model::{EnumType, Model, Operation, PrimitiveType, Property, StructuredType, Type};
use serde_json::{Map, Value, json};

/// The model as CSDL JSON.
#[must_use]
pub fn json(model: &Model, can: Capabilities) -> Vec<u8> {
    let references: Map<String, Value> = vocabularies(can)
        .map(|vocabulary| {
            let uri = format!("https://oasis-tcs.github.io/odata-vocabularies/vocabularies/{vocabulary}.json");
            (uri, json!({ "$Include": [{ "$Namespace": vocabulary }] }))
        })
        .collect();
    let mut schema = Map::new();
    for ty in model.enum_types() {
        schema.insert(ty.name.clone(), enumeration(ty));
    }
    for ty in model.types() {
        schema.insert(ty.name.clone(), structured(model, ty));
    }
    for action in model.actions() {
        schema.insert(action.name.clone(), json!([{ "$Kind": "Action" }]));
    }
    for found in model.operations() {
        let overloads = schema.entry(found.name.clone()).or_insert_with(|| json!([]));
        overloads.as_array_mut().into_iter().for_each(|overloads| overloads.push(operation(model, found)));
    }
    annotate(&mut schema, of_schema(model));
    schema.insert(model.container().to_owned(), container(model, can));
    let mut document = Map::new();
    document.insert("$Version".into(), "4.01".into());
    document.insert("$EntityContainer".into(), qualified(model, model.container()).into());
    document.insert("$Reference".into(), references.into());
    document.insert(model.namespace().to_owned(), schema.into());
    Value::Object(document).to_string().into_bytes()
}

fn enumeration(ty: &EnumType) -> Value {
    let mut json = Map::new();
    json.insert("$Kind".into(), "EnumType".into());
    if ty.flags {
        json.insert("$IsFlags".into(), true.into());
    }
    if ty.underlying != PrimitiveType::Int32 {
        json.insert("$UnderlyingType".into(), ty.underlying.name().into());
    }
    json.extend(ty.members.iter().map(|(name, value)| (name.clone(), Value::from(*value))));
    json.into()
}

fn structured(model: &Model, ty: &StructuredType) -> Value {
    let mut json = Map::new();
    json.insert("$Kind".into(), if ty.complex { "ComplexType" } else { "EntityType" }.into());
    if let Some(base) = &ty.base {
        json.insert("$BaseType".into(), qualified(model, base).into());
    } else {
        if ty.has_stream {
            json.insert("$HasStream".into(), true.into());
        }
        if !ty.complex {
            json.insert("$Key".into(), json!(ty.key));
        }
    }
    for property in &ty.properties[ty.inherited_properties..] {
        json.insert(property.name.clone(), self::property(model, property));
    }
    for way in &ty.navigation[ty.inherited_navigation..] {
        let mut inner = Map::new();
        inner.insert("$Kind".into(), "NavigationProperty".into());
        if way.collection {
            inner.insert("$Collection".into(), true.into());
        } else {
            inner.insert("$Nullable".into(), true.into());
        }
        inner.insert("$Type".into(), qualified(model, &way.target).into());
        if let Some(partner) = partner(model, ty, way) {
            inner.insert("$Partner".into(), partner.into());
        }
        if !way.constraints.is_empty() && !way.collection {
            let constraints = way.constraints.iter().map(|(here, there)| (here.clone(), there.clone().into()));
            inner.insert("$ReferentialConstraint".into(), Value::Object(constraints.collect()));
        }
        json.insert(way.name.clone(), inner.into());
    }
    json.into()
}

fn operation(model: &Model, operation: &Operation) -> Value {
    let mut json = Map::new();
    json.insert("$Kind".into(), if operation.is_action { "Action" } else { "Function" }.into());
    let mut parameters = Vec::new();
    if let Some(ty) = &operation.bound_to {
        json.insert("$IsBound".into(), true.into());
        parameters.push(json!({ "$Name": BINDING_PARAMETER, "$Type": qualified(model, ty) }));
    }
    for parameter in &operation.parameters {
        let mut inner = property(model, parameter);
        inner["$Name"] = parameter.name.clone().into();
        parameters.push(inner);
    }
    if !parameters.is_empty() {
        json.insert("$Parameter".into(), parameters.into());
    }
    if let Some(ty) = operation.result {
        json.insert("$ReturnType".into(), property(model, &Property::optional("", ty)));
    }
    annotate(&mut json, description(operation.description.as_ref()).into_iter().collect());
    json.into()
}

fn property(model: &Model, property: &Property) -> Value {
    let mut json = Map::new();
    if property.ty.item() != Type::from(PrimitiveType::String) {
        json.insert("$Type".into(), model.type_name(property.ty.item()).into());
    }
    if property.ty.collection {
        json.insert("$Collection".into(), true.into());
    }
    if property.nullable {
        json.insert("$Nullable".into(), true.into());
    }
    for (facet, value) in facets(property) {
        let value = value.parse::<u32>().map_or_else(|_| value.clone().into(), Value::from);
        json.insert(format!("${facet}"), value);
    }
    annotate(&mut json, of_property(property));
    json.into()
}

fn container(model: &Model, can: Capabilities) -> Value {
    let mut json = Map::new();
    json.insert("$Kind".into(), "EntityContainer".into());
    for set in model.entity_sets() {
        let ty = model.set(&set.name).map(|(_, ty)| ty);
        let mut inner = Map::new();
        inner.insert("$Collection".into(), true.into());
        inner.insert("$Type".into(), qualified(model, &set.entity_type).into());
        bind(model, ty, &mut inner);
        annotate(&mut inner, of_set(set, ty, can));
        json.insert(set.name.clone(), inner.into());
    }
    for singleton in model.singletons() {
        let ty = model.type_place(&singleton.entity_type).map(|place| &model.types()[place]);
        let mut inner = Map::new();
        inner.insert("$Type".into(), qualified(model, &singleton.entity_type).into());
        bind(model, ty, &mut inner);
        json.insert(singleton.name.clone(), inner.into());
    }
    for action in model.actions() {
        json.insert(action.name.clone(), json!({ "$Action": qualified(model, &action.name) }));
    }
    for function in model.operations().iter().filter(|operation| operation.bound_to.is_none()) {
        let kind = if function.is_action { "$Action" } else { "$Function" };
        json.insert(function.name.clone(), json!({ kind: qualified(model, &function.name) }));
    }
    annotate(&mut json, of_container(can));
    json.into()
}

fn bind(model: &Model, ty: Option<&StructuredType>, into: &mut Map<String, Value>) {
    let found: Map<String, Value> = ty
        .map(|ty| bindings(model, ty))
        .unwrap_or_default()
        .into_iter()
        .map(|(path, set)| (path.to_owned(), set.into()))
        .collect();
    if !found.is_empty() {
        into.insert("$NavigationPropertyBinding".into(), found.into());
    }
}

fn annotate(json: &mut Map<String, Value>, annotations: Vec<Annotation>) {
    for (vocabulary, term, value) in annotations {
        json.insert(format!("@{vocabulary}.{term}"), term_json(value));
    }
}

fn term_json(term: Term) -> Value {
    match term {
        Term::Bool(value) => value.into(),
        Term::Text(text) => text.into(),
        Term::Member(_, member) => member.into(),
        Term::Texts(texts) | Term::Paths(texts) => texts.into(),
        Term::Record(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), term_json(value))).collect())
        }
    }
}
