//! `$metadata`: the model as CSDL XML and CSDL JSON (CSDL 4.01), with what the service cannot do declared by
//! `Org.OData.Capabilities.V1`. Both are written from one model value and one list of annotations.

mod json;
mod xml;

pub use json::json;
pub use xml::xml;

use crate::model::{Base, EntitySet, Model, Navigation, PrimitiveType, Property, StructuredType};
use crate::typed::Function;

const CORE: &str = "Org.OData.Core.V1";
const CAPABILITIES: &str = "Org.OData.Capabilities.V1";
const AGGREGATION: &str = "Org.OData.Aggregation.V1";

/// What a service can do, for the annotations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Whether it evaluates everything in memory: navigation, lambdas, search, aggregation, batches.
    pub everything: bool,
}

/// The way back along a navigation, if it leads back to where it is declared: each is then the other's partner.
fn partner<'m>(model: &'m Model, ty: &StructuredType, way: &Navigation) -> Option<&'m str> {
    let place = model.type_place(&ty.name)?;
    let found = model.partner(place, ty.navigation_position(&way.name)?)?;
    let back = model.partner(way.target_type, model.types()[way.target_type].navigation_position(&found.name)?)?;
    (back.name == way.name).then_some(found.name.as_str())
}

/// The value of an annotation.
enum Term {
    Bool(bool),
    Text(String),
    Member(&'static str, &'static str),
    Texts(Vec<String>),
    Paths(Vec<String>),
    Record(Vec<(&'static str, Term)>),
}

/// An annotation: its vocabulary, its term, its value.
type Annotation = (&'static str, &'static str, Term);

fn description(text: Option<&String>) -> Option<Annotation> {
    text.map(|text| (CORE, "Description", Term::Text(text.clone())))
}

fn of_property(property: &Property) -> Vec<Annotation> {
    let mut found: Vec<Annotation> = description(property.description.as_ref()).into_iter().collect();
    if property.computed {
        found.push((CORE, "Computed", Term::Bool(true)));
    }
    if property.immutable {
        found.push((CORE, "Immutable", Term::Bool(true)));
    }
    if let Some(media_type) = &property.media_type {
        found.push((CORE, "MediaType", Term::Text(media_type.clone())));
    }
    found
}

fn of_set(set: &EntitySet, ty: Option<&StructuredType>, can: Capabilities) -> Vec<Annotation> {
    let mut found: Vec<Annotation> = description(set.description.as_ref()).into_iter().collect();
    let mut restrict = |term, property, value| {
        found.push((CAPABILITIES, term, Term::Record(vec![(property, Term::Bool(value))])));
    };
    restrict("InsertRestrictions", "Insertable", false);
    restrict("UpdateRestrictions", "Updatable", false);
    restrict("DeleteRestrictions", "Deletable", false);
    restrict("SearchRestrictions", "Searchable", can.everything && set.abilities.search);
    restrict("ExpandRestrictions", "Expandable", can.everything && set.abilities.expand);
    if can.everything {
        restrict("ChangeTracking", "Supported", set.tracks_changes);
    }
    let unsortable = &set.abilities.unsortable;
    if !unsortable.is_empty() {
        let fields = vec![("NonSortableProperties", Term::Paths(unsortable.clone()))];
        found.push((CAPABILITIES, "SortRestrictions", Term::Record(fields)));
    }
    if !set.abilities.apply {
        found.push((AGGREGATION, "ApplySupported", Term::Record(vec![("Transformations", Term::Texts(Vec::new()))])));
    }
    if let Some(etag) = ty.and_then(|ty| ty.etag.as_ref()) {
        found.push((CORE, "OptimisticConcurrency", Term::Paths(vec![etag.clone()])));
    }
    found
}

fn of_container(can: Capabilities) -> Vec<Annotation> {
    let in_sql = |function: &Function| crate::sql::is_in_sql(*function);
    let mut functions: Vec<String> = Function::ALL
        .iter()
        .filter(|function| **function != Function::Bucket && (can.everything || in_sql(function)))
        .map(|function| function.name().to_owned())
        .chain(["now", "maxdatetime", "mindatetime"].map(str::to_owned))
        .collect();
    if can.everything {
        functions.extend(["cast", "isof", "any", "all"].map(str::to_owned));
    }
    functions.sort();
    let mut found = vec![
        (CAPABILITIES, "FilterFunctions", Term::Texts(functions)),
        (CAPABILITIES, "BatchSupported", Term::Bool(can.everything)),
        (CAPABILITIES, "KeyAsSegmentSupported", Term::Bool(true)),
    ];
    if can.everything {
        let level = "Org.OData.Capabilities.V1.ConformanceLevelType";
        found.push((CAPABILITIES, "ConformanceLevel", Term::Member(level, "Intermediate")));
        found.push((CORE, "ODataVersions", Term::Text("4.01".into())));
        found.push((CAPABILITIES, "CrossJoinSupported", Term::Bool(true)));
        let formats = ["application/json", "application/x-ndjson", "text/csv"].map(str::to_owned).to_vec();
        found.push((CAPABILITIES, "SupportedFormats", Term::Texts(formats)));
        let encodings = ["gzip", "zstd"].map(str::to_owned).to_vec();
        found.push((CAPABILITIES, "AcceptableEncodings", Term::Texts(encodings)));
        let transformations = TRANSFORMATIONS.map(str::to_owned).to_vec();
        let fields = vec![("Transformations", Term::Texts(transformations))];
        found.push((AGGREGATION, "ApplySupportedDefaults", Term::Record(fields)));
    }
    found
}

/// The vocabularies that a document uses.
fn vocabularies(can: Capabilities) -> impl Iterator<Item = &'static str> {
    [CORE, CAPABILITIES].into_iter().chain(can.everything.then_some(AGGREGATION))
}

/// The transformations of `$apply` that are evaluated.
const TRANSFORMATIONS: [&str; 20] = [
    "addnested",
    "aggregate",
    "bottomcount",
    "bottompercent",
    "bottomsum",
    "compute",
    "concat",
    "filter",
    "groupby",
    "identity",
    "join",
    "nest",
    "orderby",
    "outerjoin",
    "search",
    "skip",
    "top",
    "topcount",
    "toppercent",
    "topsum",
];

/// The annotations of the schema.
fn of_schema(model: &Model) -> Vec<Annotation> {
    let default = model.has_default_namespace();
    if default { vec![(CORE, "DefaultNamespace", Term::Bool(true))] } else { Vec::new() }
}

/// The name of an operation's parameter for what it is bound to.
const BINDING_PARAMETER: &str = "it";

/// The facets of a property: name, and value as number or word.
fn facets(property: &Property) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Some(length) = property.max_length {
        found.push(("MaxLength", length.to_string()));
    }
    let Base::Primitive(ty) = property.ty.base else { return found };
    match ty {
        // Fractions of seconds go to nanoseconds.
        PrimitiveType::DateTimeOffset | PrimitiveType::Duration | PrimitiveType::TimeOfDay => {
            found.push(("Precision", property.precision.unwrap_or(9).to_string()));
        }
        PrimitiveType::Decimal => {
            found.extend(property.precision.map(|digits| ("Precision", digits.to_string())));
            found.push(("Scale", property.scale.map_or_else(|| "variable".to_owned(), |digits| digits.to_string())));
        }
        PrimitiveType::Geography(_) => found.push(("SRID", "4326".to_owned())),
        _ => {}
    }
    found
}

/// The name of the type of a navigation property or set.
fn qualified(model: &Model, name: &str) -> String {
    format!("{}.{name}", model.namespace())
}

/// The bindings of a set or singleton: the names of its type's navigation properties with the sets they lead to.
fn bindings<'m>(model: &'m Model, ty: &'m StructuredType) -> Vec<(&'m str, &'m str)> {
    let to_set = |target: usize| model.set_of_type(target).map(|set| model.entity_sets()[set].name.as_str());
    ty.navigation.iter().filter_map(|way| Some((way.name.as_str(), to_set(way.target_type)?))).collect()
}
