//! The model of the service: its entity sets with their types and the ways between them, and its operations.

use bulkhead_odata::model::{Abilities, Parts, StructuredType};
use bulkhead_odata::{EntitySet, EntityType, Model, Navigation, Operation, PrimitiveType, Property, Type};

/// The names of the sets.
pub(super) const CONNECTIONS: &str = "Connections";
pub(super) const POINTS: &str = "Points";
pub(super) const READINGS: &str = "Readings";
pub(super) const LATEST_READINGS: &str = "LatestReadings";
pub(super) const ROUTES: &str = "Routes";
pub(super) const FAULTS: &str = "Faults";
pub(super) const GAPS: &str = "Gaps";
pub(super) const DEAD_LETTERS: &str = "DeadLetters";

/// The names of the operations.
pub(super) const WRITE: &str = "Write";
pub(super) const ENABLE: &str = "Enable";
pub(super) const DISABLE: &str = "Disable";
pub(super) const TEST: &str = "Test";
const BUCKET: &str = "Bucket";

/// The complex types of what actions answer.
pub(super) const WRITTEN: &str = "Written";
pub(super) const TESTED: &str = "Tested";

/// The parts of the model that every gateway has.
pub(super) fn parts() -> Parts {
    let mut parts = Parts {
        namespace: "Bulkhead".into(),
        container: "Gateway".into(),
        types: vec![
            written(),
            tested(),
            connection(),
            point(),
            reading("Reading", &["Seq"]),
            reading("LatestReading", &["Connection", "Point"]),
            route(),
            fault(),
            gap(),
            dead_letter(),
        ],
        entity_sets: sets(),
        default_namespace: true,
        ..Parts::default()
    };
    let place = |name: &str| parts.types.iter().position(|ty| ty.name == name).map_or(0, |place| place);
    parts.operations = operations(Type::structured(place(WRITTEN)), Type::structured(place(TESTED)));
    parts
}

/// The model, checked.
///
/// # Errors
/// [`bulkhead_odata::ModelError`] for parts that do not fit together.
pub(super) fn model(parts: Parts) -> Result<Model, bulkhead_odata::ModelError> {
    Model::of(parts)
}

fn sets() -> Vec<EntitySet> {
    // These are made for each row when it is read; SQL cannot sort by them.
    let unsortable = || Abilities { unsortable: vec!["StatusName".into(), "Value".into()], ..Abilities::default() };
    vec![
        EntitySet::new(CONNECTIONS, "Connection").described("Connections to devices and systems, as they are now"),
        EntitySet::new(POINTS, "Point").described("Points that connections have declared"),
        EntitySet::new(READINGS, "Reading")
            .described("Every reading of the log, in the order of its commit")
            .tracked(true)
            .able(unsortable()),
        EntitySet::new(LATEST_READINGS, "LatestReading")
            .described("The reading of each point with the latest time of acquisition")
            .tracked(false)
            .able(unsortable()),
        EntitySet::new(ROUTES, "Route").described("Routes to upstream systems, as they are now"),
        EntitySet::new(FAULTS, "Fault").described("Faults of connections since the gateway started, by their codes"),
        EntitySet::new(GAPS, "Gap").described("What is missing from the log, and why"),
        EntitySet::new(DEAD_LETTERS, "DeadLetter").described("Readings and frames that could not be delivered"),
    ]
}

fn operations(written: Type, tested: Type) -> Vec<Operation> {
    vec![
        Operation::action(WRITE, "Point")
            .taking(
                Property::required("Value", PrimitiveType::String)
                    .described("The value as text, by the point's kind; a JSON number or Boolean is taken as well"),
            )
            .giving(written)
            .described("Writes a value to the device and says what the device has afterwards"),
        Operation::action(ENABLE, "Connection").described("Switches the connection on, in the config"),
        Operation::action(DISABLE, "Connection").described("Switches the connection off, in the config"),
        Operation::action(TEST, "Connection")
            .giving(tested)
            .described("Says whether the connection works: its adapter, its transports, its own check"),
        Operation::time_bucket(BUCKET)
            .described("The beginning of the span of a width that a moment is in, counted from 1970-01-01T00:00:00Z"),
    ]
}

fn written() -> StructuredType {
    use PrimitiveType::{DateTimeOffset, Int64, String};
    StructuredType::complex(WRITTEN)
        .with(Property::required("Value", String).described("What was written, as text"))
        .with(Property::optional("ReadBack", String).described("What the device had afterwards, as text"))
        .with(Property::optional("Seq", Int64).described("The number of that reading in the log"))
        .with(Property::optional("Time", DateTimeOffset))
        .with(Property::optional("Status", Int64).described("OPC UA StatusCode"))
}

fn tested() -> StructuredType {
    use PrimitiveType::{Boolean, String};
    StructuredType::complex(TESTED)
        .with(Property::required("Ok", Boolean))
        .with(Property::required("Message", String).described("What works, or what does not"))
}

fn connection() -> EntityType {
    use PrimitiveType::{Boolean, DateTimeOffset, Int64, String};
    EntityType::new("Connection", ["Name"])
        .tagged_by_all()
        .tagged_in_header()
        .with(Property::required("Name", String))
        .with(Property::required("Adapter", String))
        .with(Property::required("Enabled", Boolean))
        .with(Property::required("State", String).described("disabled, starting, running, waiting, failed or stopped"))
        .with(Property::optional("Reason", String).described("Why it waits or has failed"))
        .with(Property::required("PointCount", Int64).described("How many points it has declared since it started"))
        .with(Property::required("ReadingCount", Int64).described("Readings since the gateway started"))
        .with(Property::required("BadReadingCount", Int64).described("Those among them with a Bad status"))
        .with(Property::required("FaultCount", Int64).described("Faults since the gateway started"))
        .with(Property::optional("LastFaultTime", DateTimeOffset))
        .with(Property::optional("LastFaultCode", String))
        .with(Property::optional("LastFaultMessage", String))
        .leading(Navigation::many("Points", "Point").by("Name", "Connection"))
        .leading(Navigation::many("Readings", "Reading").by("Name", "Connection"))
        .leading(Navigation::many("LatestReadings", "LatestReading").by("Name", "Connection"))
        .leading(Navigation::many("Faults", "Fault").by("Name", "Connection"))
        .leading(Navigation::many("Gaps", "Gap").by("Name", "Connection"))
        .leading(Navigation::many("DeadLetters", "DeadLetter").by("Name", "Connection"))
        .leading(Navigation::many("RoutesTo", "Route").by("Name", "To"))
}

fn point() -> EntityType {
    use PrimitiveType::{Boolean, Double, Int64, String};
    EntityType::new("Point", ["Id"])
        .tagged_by_all()
        .tagged_in_header()
        .with(Property::required("Id", Int64))
        .with(Property::required("Connection", String))
        .with(Property::required("Name", String))
        .with(Property::required("Kind", String))
        .with(Property::optional("Unit", String))
        .with(Property::optional("Group", String).described("The poll group that reads it"))
        .with(Property::required("Writable", Boolean))
        .with(Property::optional("WriteMin", Double).described("The lowest number it takes"))
        .with(Property::optional("WriteMax", Double).described("The highest number it takes"))
        .with(Property::optional("Description", String))
        .with(
            Property::required("Current", Boolean)
                .described("False when its name now stands for a point of another kind"),
        )
        .leading(Navigation::one("ConnectionInfo", "Connection").by("Connection", "Name"))
        .leading(Navigation::many("Readings", "Reading").by("Id", "PointId"))
        .leading(Navigation::one("Latest", "LatestReading").by("Id", "PointId"))
}

fn reading(name: &str, key: &[&str]) -> EntityType {
    use PrimitiveType::{Binary, Boolean, DateTimeOffset, Decimal, Double, Duration, Int64, String};
    EntityType::new(name, key.iter().copied())
        .tagged("Seq")
        .tagged_in_header()
        .with(Property::required("Seq", Int64).described("Its number in the log; rising, with gaps"))
        .with(Property::required("PointId", Int64))
        .with(Property::required("Connection", String).searched())
        .with(Property::required("Point", String).searched())
        .with(Property::required("Kind", String))
        .with(Property::optional("Unit", String).searched())
        .with(Property::required("Time", DateTimeOffset).described("When the value was acquired"))
        .with(Property::required("Status", Int64).described("OPC UA StatusCode"))
        .with(Property::required("StatusName", String).described("The status for people").searched())
        .with(Property::required("Good", Boolean))
        .with(Property::optional("Value", String).described("The value as text, whatever its kind").searched())
        .with(Property::optional("NumericValue", Double).described("The value of an integer, a real or a decimal"))
        .with(Property::optional("BooleanValue", Boolean))
        .with(Property::optional("IntegerValue", Int64))
        .with(Property::optional("DecimalValue", Decimal))
        .with(Property::optional("TextValue", String))
        .with(Property::optional("TimeValue", DateTimeOffset))
        .with(Property::optional("DurationValue", Duration))
        .with(Property::optional("BytesValue", Binary))
        .leading(Navigation::one("ConnectionInfo", "Connection").by("Connection", "Name"))
        .leading(Navigation::one("PointInfo", "Point").by("PointId", "Id"))
}

fn route() -> EntityType {
    use PrimitiveType::{Boolean, Int64, String};
    EntityType::new("Route", ["Name"])
        .tagged_by_all()
        .tagged_in_header()
        .with(Property::required("Name", String))
        .with(Property::required("To", String).described("The connection it delivers to"))
        .with(Property::required("Enabled", Boolean))
        .with(Property::required("State", String).described("disabled, starting, running, waiting, failed or stopped"))
        .with(Property::optional("Reason", String).described("Why it waits or has failed"))
        .with(Property::required("Cursor", Int64).described("Everything up to this number in the log is delivered"))
        .with(Property::required("Backlog", Int64).described("Numbers of the log behind the cursor"))
        .with(Property::required("Accepted", Int64).described("Readings the upstream took"))
        .with(Property::required("Rejected", Int64).described("Readings the upstream refused for good"))
        .with(Property::required("Batches", Int64))
        .with(Property::required("Retries", Int64))
        .with(Property::required("Resent", Int64))
        .with(Property::required("Gap", Int64).described("Readings that retention deleted before the route had them"))
        .with(Property::required("DeadLetterCount", Int64))
        .with(Property::required("DeadLettersDropped", Int64))
        .leading(Navigation::one("ToInfo", "Connection").by("To", "Name"))
        .leading(Navigation::many("DeadLetters", "DeadLetter").by("Name", "Route"))
}

fn fault() -> EntityType {
    use PrimitiveType::{DateTimeOffset, Int64, String};
    EntityType::new("Fault", ["Connection", "Code"])
        .tagged_by_all()
        .tagged_in_header()
        .with(Property::required("Connection", String))
        .with(Property::required("Code", String))
        .with(Property::required("Count", Int64).described("How often since the gateway started"))
        .with(Property::optional("LastTime", DateTimeOffset).described("When, if it is the connection's last fault"))
        .with(Property::optional("LastPoint", String))
        .with(Property::optional("LastMessage", String))
        .leading(Navigation::one("ConnectionInfo", "Connection").by("Connection", "Name"))
}

fn gap() -> EntityType {
    use PrimitiveType::{DateTimeOffset, Int64, String};
    EntityType::new("Gap", ["Id"])
        .tagged("Id")
        .tagged_in_header()
        .with(Property::required("Id", Int64))
        .with(Property::required("FirstSeq", Int64).described("The first number of the log that is missing"))
        .with(Property::required("LastSeq", Int64))
        .with(Property::optional("Rows", Int64).described("How many readings they were, where that is known"))
        .with(Property::required("Reason", String))
        .with(Property::optional("Connection", String).described("Whose readings, where they were of one"))
        .with(Property::required("Routes", Type::from(String).many()).described("Routes that had not read them"))
        .with(Property::required("Time", DateTimeOffset).described("When it was noticed"))
        .leading(Navigation::one("ConnectionInfo", "Connection").by("Connection", "Name"))
}

fn dead_letter() -> EntityType {
    use PrimitiveType::{DateTimeOffset, Int64, Stream, String};
    EntityType::new("DeadLetter", ["Id"])
        .tagged_by_all()
        .tagged_in_header()
        .with(Property::required("Id", Int64))
        .with(Property::required("Kind", String).described("reading or frame"))
        .with(Property::optional("Route", String).described("The route whose upstream refused the reading"))
        .with(Property::optional("Connection", String).described("The connection whose adapter failed on the frame"))
        .with(Property::optional("Seq", Int64))
        .with(Property::optional("PointId", Int64))
        .with(Property::optional("Time", DateTimeOffset).described("When the value was acquired, or the frame arrived"))
        .with(Property::optional("Status", Int64))
        .with(Property::optional("Value", String).described("The value as text"))
        .with(Property::optional("Transport", String))
        .with(Property::optional("Topic", String))
        .with(Property::optional("PayloadBytes", Int64).described("How many bytes the frame had"))
        .with(Property::optional("Payload", Stream).described("The bytes of the frame, or the first of them"))
        .with(Property::required("Code", String))
        .with(Property::required("Message", String))
        .with(Property::required("Tries", Int64))
        .with(Property::required("TriedAt", DateTimeOffset))
        .leading(Navigation::one("RouteInfo", "Route").by("Route", "Name"))
        .leading(Navigation::one("ConnectionInfo", "Connection").by("Connection", "Name"))
        .leading(Navigation::one("PointInfo", "Point").by("PointId", "Id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_one() {
        let model = model(parts()).unwrap();
        for set in [CONNECTIONS, POINTS, READINGS, LATEST_READINGS, ROUTES, FAULTS, GAPS, DEAD_LETTERS] {
            assert!(model.set(set).is_some(), "{set}");
        }
    }
}
