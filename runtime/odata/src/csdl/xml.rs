//! The model as CSDL XML (CSDL XML 4.01).

use super::{
    Annotation, BINDING_PARAMETER, Capabilities, Term, bindings, description, facets, of_container, of_property,
    of_schema, of_set, partner, qualified, vocabularies,
};
use crate::model::{EnumType, Model, Operation, PrimitiveType, StructuredType};
use crate::negotiate::Version;
use std::fmt::Write as _;

/// The model as CSDL XML, in the version of the answer.
#[must_use]
pub fn xml(model: &Model, version: Version, can: Capabilities) -> String {
    let mut xml = Xml(String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"));
    let edmx = "http://docs.oasis-open.org/odata/ns/edmx";
    xml.open(0, "edmx:Edmx", &[("xmlns:edmx", edmx), ("Version", version.name())]);
    for vocabulary in vocabularies(can) {
        let uri = format!("https://oasis-tcs.github.io/odata-vocabularies/vocabularies/{vocabulary}.xml");
        xml.open(1, "edmx:Reference", &[("Uri", &uri)]);
        xml.empty(2, "edmx:Include", &[("Namespace", vocabulary)]);
        xml.close(1, "edmx:Reference");
    }
    xml.open(1, "edmx:DataServices", &[]);
    let edm = "http://docs.oasis-open.org/odata/ns/edm";
    xml.open(2, "Schema", &[("xmlns", edm), ("Namespace", model.namespace())]);
    for ty in model.enum_types() {
        xml.enumeration(ty);
    }
    for ty in model.types() {
        xml.structured(model, ty);
    }
    for action in model.actions() {
        xml.empty(3, "Action", &[("Name", &action.name)]);
    }
    for operation in model.operations() {
        xml.operation(model, operation);
    }
    xml.container(model, can);
    xml.annotations(3, of_schema(model));
    xml.close(2, "Schema");
    xml.close(1, "edmx:DataServices");
    xml.close(0, "edmx:Edmx");
    xml.0
}

struct Xml(String);

impl Xml {
    fn tag(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)], end: &str) {
        let _ = write!(self.0, "{:1$}<{name}", "", depth * 2);
        for (attribute, value) in attributes {
            let _ = write!(self.0, " {attribute}=\"{}\"", escape(value));
        }
        self.0.push_str(end);
        self.0.push('\n');
    }

    fn open(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)]) {
        self.tag(depth, name, attributes, ">");
    }

    fn empty(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)]) {
        self.tag(depth, name, attributes, "/>");
    }

    fn close(&mut self, depth: usize, name: &str) {
        let _ = writeln!(self.0, "{:1$}</{name}>", "", depth * 2);
    }

    /// An element with what the function puts into it; an empty one if that is nothing.
    fn element(&mut self, depth: usize, name: &str, attributes: &[(&str, &str)], inner: impl FnOnce(&mut Self)) {
        let mut content = Xml(String::new());
        inner(&mut content);
        if content.0.is_empty() {
            self.empty(depth, name, attributes);
        } else {
            self.open(depth, name, attributes);
            self.0.push_str(&content.0);
            self.close(depth, name);
        }
    }

    fn enumeration(&mut self, ty: &EnumType) {
        let mut attributes = vec![("Name", ty.name.as_str())];
        if ty.flags {
            attributes.push(("IsFlags", "true"));
        }
        if ty.underlying != PrimitiveType::Int32 {
            attributes.push(("UnderlyingType", ty.underlying.name()));
        }
        self.element(3, "EnumType", &attributes, |xml| {
            for (name, value) in &ty.members {
                xml.empty(4, "Member", &[("Name", name), ("Value", &value.to_string())]);
            }
        });
    }

    fn structured(&mut self, model: &Model, ty: &StructuredType) {
        let kind = if ty.complex { "ComplexType" } else { "EntityType" };
        let base = ty.base.as_ref().map(|base| qualified(model, base));
        let mut attributes = vec![("Name", ty.name.as_str())];
        attributes.extend(base.as_deref().map(|base| ("BaseType", base)));
        if ty.has_stream && base.is_none() {
            attributes.push(("HasStream", "true"));
        }
        self.element(3, kind, &attributes, |xml| {
            if ty.base.is_none() && !ty.complex {
                xml.open(4, "Key", &[]);
                for name in &ty.key {
                    xml.empty(5, "PropertyRef", &[("Name", name)]);
                }
                xml.close(4, "Key");
            }
            xml.properties(model, ty);
            xml.ways(model, ty);
        });
    }

    fn properties(&mut self, model: &Model, ty: &StructuredType) {
        for property in &ty.properties[ty.inherited_properties..] {
            let type_name = model.type_name(property.ty);
            let facets = facets(property);
            let mut attributes = vec![("Name", property.name.as_str()), ("Type", type_name.as_str())];
            if !property.nullable {
                attributes.push(("Nullable", "false"));
            }
            attributes.extend(facets.iter().map(|(facet, value)| (*facet, value.as_str())));
            self.element(4, "Property", &attributes, |xml| xml.annotations(5, of_property(property)));
        }
    }

    fn ways(&mut self, model: &Model, ty: &StructuredType) {
        for way in &ty.navigation[ty.inherited_navigation..] {
            let target = qualified(model, &way.target);
            let target = if way.collection { format!("Collection({target})") } else { target };
            let mut attributes = vec![("Name", way.name.as_str()), ("Type", target.as_str())];
            attributes.extend(partner(model, ty, way).map(|partner| ("Partner", partner)));
            self.element(4, "NavigationProperty", &attributes, |xml| {
                for (here, there) in way.constraints.iter().filter(|_| !way.collection) {
                    xml.empty(5, "ReferentialConstraint", &[("Property", here), ("ReferencedProperty", there)]);
                }
            });
        }
    }

    fn operation(&mut self, model: &Model, operation: &Operation) {
        let kind = if operation.is_action { "Action" } else { "Function" };
        let mut attributes = vec![("Name", operation.name.as_str())];
        if operation.bound_to.is_some() {
            attributes.push(("IsBound", "true"));
        }
        self.element(3, kind, &attributes, |xml| {
            if let Some(ty) = &operation.bound_to {
                let attributes = [("Name", BINDING_PARAMETER), ("Type", &qualified(model, ty)), ("Nullable", "false")];
                xml.empty(4, "Parameter", &attributes);
            }
            for parameter in &operation.parameters {
                let (ty, facets) = (model.type_name(parameter.ty), facets(parameter));
                let mut attributes = vec![("Name", parameter.name.as_str()), ("Type", ty.as_str())];
                if !parameter.nullable {
                    attributes.push(("Nullable", "false"));
                }
                attributes.extend(facets.iter().map(|(facet, value)| (*facet, value.as_str())));
                xml.element(4, "Parameter", &attributes, |xml| xml.annotations(5, of_property(parameter)));
            }
            if let Some(ty) = operation.result {
                xml.empty(4, "ReturnType", &[("Type", &model.type_name(ty))]);
            }
            xml.annotations(4, description(operation.description.as_ref()).into_iter().collect());
        });
    }

    fn container(&mut self, model: &Model, can: Capabilities) {
        self.open(3, "EntityContainer", &[("Name", model.container())]);
        for set in model.entity_sets() {
            let ty = model.set(&set.name).map(|(_, ty)| ty);
            let attributes = [("Name", set.name.as_str()), ("EntityType", &qualified(model, &set.entity_type))];
            self.element(4, "EntitySet", &attributes, |xml| {
                xml.bindings(model, ty);
                xml.annotations(5, of_set(set, ty, can));
            });
        }
        for singleton in model.singletons() {
            let ty = model.type_place(&singleton.entity_type).map(|place| &model.types()[place]);
            let attributes = [("Name", singleton.name.as_str()), ("Type", &qualified(model, &singleton.entity_type))];
            self.element(4, "Singleton", &attributes, |xml| xml.bindings(model, ty));
        }
        for action in model.actions() {
            let qualified = qualified(model, &action.name);
            self.empty(4, "ActionImport", &[("Name", &action.name), ("Action", &qualified)]);
        }
        for function in model.operations().iter().filter(|operation| operation.bound_to.is_none()) {
            let qualified = qualified(model, &function.name);
            let (import, kind) =
                if function.is_action { ("ActionImport", "Action") } else { ("FunctionImport", "Function") };
            self.empty(4, import, &[("Name", &function.name), (kind, &qualified)]);
        }
        self.annotations(4, of_container(can));
        self.close(3, "EntityContainer");
    }

    fn bindings(&mut self, model: &Model, ty: Option<&StructuredType>) {
        for (path, set) in ty.map(|ty| bindings(model, ty)).unwrap_or_default() {
            self.empty(5, "NavigationPropertyBinding", &[("Path", path), ("Target", set)]);
        }
    }

    fn annotations(&mut self, depth: usize, annotations: Vec<Annotation>) {
        for (vocabulary, term, value) in annotations {
            let name = format!("{vocabulary}.{term}");
            match value {
                Term::Bool(value) => {
                    self.empty(depth, "Annotation", &[("Term", &name), ("Bool", &value.to_string())]);
                }
                Term::Text(text) => self.empty(depth, "Annotation", &[("Term", &name), ("String", &text)]),
                Term::Member(ty, member) => {
                    let member = format!("{ty}/{member}");
                    self.empty(depth, "Annotation", &[("Term", &name), ("EnumMember", &member)]);
                }
                other => {
                    self.open(depth, "Annotation", &[("Term", &name)]);
                    self.inner_term(depth + 1, other);
                    self.close(depth, "Annotation");
                }
            }
        }
    }

    fn items(&mut self, depth: usize, name: &str, texts: &[String]) {
        self.open(depth, "Collection", &[]);
        for text in texts {
            let _ = writeln!(self.0, "{:1$}<{name}>{2}</{name}>", "", depth * 2 + 2, escape(text));
        }
        self.close(depth, "Collection");
    }

    /// A collection or a record.
    fn inner_term(&mut self, depth: usize, term: Term) {
        match term {
            Term::Texts(texts) => self.items(depth, "String", &texts),
            Term::Paths(paths) => self.items(depth, "PropertyPath", &paths),
            Term::Record(fields) => {
                self.open(depth, "Record", &[]);
                for (property, value) in fields {
                    if let Term::Bool(value) = value {
                        self.empty(depth + 1, "PropertyValue", &[("Property", property), ("Bool", &value.to_string())]);
                        continue;
                    }
                    self.open(depth + 1, "PropertyValue", &[("Property", property)]);
                    self.inner_term(depth + 2, value);
                    self.close(depth + 1, "PropertyValue");
                }
                self.close(depth, "Record");
            }
            Term::Bool(_) | Term::Text(_) | Term::Member(..) => {}
        }
    }
}

/// Text for an XML attribute; characters that XML does not have become spaces.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", u32::from(c))),
            c if c < ' ' || c == '\u{FFFE}' || c == '\u{FFFF}' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_attribute() {
        assert_eq!(escape("a\"<b>&'\u{1}\n"), "a&quot;&lt;b&gt;&amp;' &#10;");
    }
}
