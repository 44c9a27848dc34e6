//! `$metadata` as CSDL XML (CSDL XML 4.01), with what the service cannot do declared by `Org.OData.Capabilities.V1`.

use crate::negotiate::Version;
use crate::{EntitySet, EntityType, Model, PrimitiveType, Property};

const CORE: &str = "Org.OData.Core.V1";
const CAPABILITIES: &str = "Org.OData.Capabilities.V1";

/// Functions for `Capabilities.FilterFunctions`.
const FILTER_FUNCTIONS: &[&str] = &[
    "concat",
    "contains",
    "day",
    "endswith",
    "hour",
    "indexof",
    "length",
    "maxdatetime",
    "mindatetime",
    "minute",
    "month",
    "now",
    "second",
    "startswith",
    "substring",
    "tolower",
    "toupper",
    "trim",
    "year",
];

/// The model as CSDL XML, in the version of the answer.
#[must_use]
pub fn xml(model: &Model, version: Version) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
    out.push_str(&format!(
        "<edmx:Edmx xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\" Version=\"{}\">\n",
        version.name()
    ));
    for vocabulary in [CORE, CAPABILITIES] {
        out.push_str(&format!(
            "  <edmx:Reference Uri=\"https://oasis-tcs.github.io/odata-vocabularies/vocabularies/{vocabulary}.xml\">\n    \
             <edmx:Include Namespace=\"{vocabulary}\"/>\n  </edmx:Reference>\n"
        ));
    }
    out.push_str(&format!(
        "  <edmx:DataServices>\n    \
         <Schema xmlns=\"http://docs.oasis-open.org/odata/ns/edm\" Namespace=\"{}\">\n",
        escape(model.namespace())
    ));
    for ty in model.entity_types() {
        entity_type(&mut out, ty);
    }
    container(&mut out, model);
    out.push_str("    </Schema>\n  </edmx:DataServices>\n</edmx:Edmx>\n");
    out
}

fn entity_type(out: &mut String, ty: &EntityType) {
    out.push_str(&format!("      <EntityType Name=\"{}\">\n        <Key>\n", escape(&ty.name)));
    for name in &ty.key {
        out.push_str(&format!("          <PropertyRef Name=\"{}\"/>\n", escape(name)));
    }
    out.push_str("        </Key>\n");
    for property in &ty.properties {
        self::property(out, property);
    }
    out.push_str("      </EntityType>\n");
}

fn property(out: &mut String, property: &Property) {
    let nullable = if property.nullable { "" } else { " Nullable=\"false\"" };
    let start = format!(
        "        <Property Name=\"{}\" Type=\"{}\"{nullable}{}",
        escape(&property.name),
        property.ty,
        facets(property.ty)
    );
    out.push_str(&start);
    match &property.description {
        None => out.push_str("/>\n"),
        Some(text) => {
            out.push_str(">\n");
            description(out, "          ", text);
            out.push_str("        </Property>\n");
        }
    }
}

/// Fractions of seconds go to nanoseconds; decimals have any number of digits.
fn facets(ty: PrimitiveType) -> &'static str {
    match ty {
        PrimitiveType::DateTimeOffset | PrimitiveType::Duration | PrimitiveType::TimeOfDay => " Precision=\"9\"",
        PrimitiveType::Decimal => " Scale=\"variable\"",
        _ => "",
    }
}

fn container(out: &mut String, model: &Model) {
    out.push_str(&format!("      <EntityContainer Name=\"{}\">\n", escape(model.container())));
    for set in model.entity_sets() {
        entity_set(out, model, set);
    }
    let functions: String = FILTER_FUNCTIONS.iter().map(|name| format!("<String>{name}</String>")).collect();
    out.push_str(&format!(
        "        <Annotation Term=\"{CAPABILITIES}.FilterFunctions\"><Collection>{functions}</Collection></Annotation>\n"
    ));
    for term in ["BatchSupported", "KeyAsSegmentSupported"] {
        let supported = term == "KeyAsSegmentSupported";
        out.push_str(&format!("        <Annotation Term=\"{CAPABILITIES}.{term}\" Bool=\"{supported}\"/>\n"));
    }
    out.push_str("      </EntityContainer>\n");
}

fn entity_set(out: &mut String, model: &Model, set: &EntitySet) {
    let ty = format!("{}.{}", model.namespace(), set.entity_type);
    out.push_str(&format!("        <EntitySet Name=\"{}\" EntityType=\"{}\">\n", escape(&set.name), escape(&ty)));
    if let Some(text) = &set.description {
        description(out, "          ", text);
    }
    let restrictions = [
        ("InsertRestrictions", "Insertable"),
        ("UpdateRestrictions", "Updatable"),
        ("DeleteRestrictions", "Deletable"),
        ("SearchRestrictions", "Searchable"),
        ("ExpandRestrictions", "Expandable"),
    ];
    for (term, property) in restrictions {
        out.push_str(&format!(
            "          <Annotation Term=\"{CAPABILITIES}.{term}\"><Record>\
             <PropertyValue Property=\"{property}\" Bool=\"false\"/></Record></Annotation>\n"
        ));
    }
    out.push_str("        </EntitySet>\n");
}

fn description(out: &mut String, indent: &str, text: &str) {
    out.push_str(&format!("{indent}<Annotation Term=\"{CORE}.Description\" String=\"{}\"/>\n", escape(text)));
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
