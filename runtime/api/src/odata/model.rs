//! The model of the service: four entity sets with their types.

use bulkhead_odata::{EntitySet, EntityType, Model, PrimitiveType, Property};

/// The names of the sets.
pub(super) const CONNECTIONS: &str = "Connections";
pub(super) const POINTS: &str = "Points";
pub(super) const READINGS: &str = "Readings";
pub(super) const LATEST_READINGS: &str = "LatestReadings";

/// The model, checked.
pub(super) fn model() -> Model {
    let types =
        vec![connection(), point(), reading("Reading", &["Seq"]), reading("LatestReading", &["Connection", "Point"])];
    let sets = vec![
        EntitySet::new(CONNECTIONS, "Connection").described("Connections to devices and systems, as they are now"),
        EntitySet::new(POINTS, "Point").described("Points that connections have declared"),
        EntitySet::new(READINGS, "Reading").described("Every reading of the log, in the order of its commit"),
        EntitySet::new(LATEST_READINGS, "LatestReading").described("The reading of each point that was committed last"),
    ];
    Model::new("Bulkhead", "Gateway", types, sets).expect("names and keys are fixed here and tested")
}

fn connection() -> EntityType {
    use PrimitiveType::{Boolean, DateTimeOffset, Int64, String};
    EntityType::new("Connection", ["Name"])
        .with(Property::required("Name", String))
        .with(Property::required("Adapter", String))
        .with(Property::required("Enabled", Boolean))
        .with(Property::required("State", String).described("disabled, starting, running, waiting, failed or stopped"))
        .with(Property::optional("Reason", String).described("Why it waits or has failed"))
        .with(Property::required("Points", Int64).described("How many points it has declared since it started"))
        .with(Property::required("Readings", Int64).described("Readings since the gateway started"))
        .with(Property::required("ReadingsBad", Int64).described("Those among them with a Bad status"))
        .with(Property::required("Faults", Int64).described("Faults since the gateway started"))
        .with(Property::optional("LastFaultTime", DateTimeOffset))
        .with(Property::optional("LastFaultCode", String))
        .with(Property::optional("LastFaultMessage", String))
}

fn point() -> EntityType {
    use PrimitiveType::{Boolean, Double, Int64, String};
    EntityType::new("Point", ["Id"])
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
}

fn reading(name: &str, key: &[&str]) -> EntityType {
    use PrimitiveType::{Binary, Boolean, DateTimeOffset, Decimal, Double, Duration, Int64, String};
    EntityType::new(name, key.iter().copied())
        .with(Property::required("Seq", Int64).described("Its number in the log; rising, with gaps"))
        .with(Property::required("PointId", Int64))
        .with(Property::required("Connection", String))
        .with(Property::required("Point", String))
        .with(Property::required("Kind", String))
        .with(Property::optional("Unit", String))
        .with(Property::required("Time", DateTimeOffset).described("When the value was acquired"))
        .with(Property::required("Status", Int64).described("OPC UA StatusCode"))
        .with(Property::required("StatusName", String).described("The status for people; not for $filter"))
        .with(Property::required("Good", Boolean))
        .with(Property::optional("Value", String).described("The value as text, whatever its kind; not for $filter"))
        .with(Property::optional("NumericValue", Double).described("The value of an integer, a real or a decimal"))
        .with(Property::optional("BooleanValue", Boolean))
        .with(Property::optional("IntegerValue", Int64))
        .with(Property::optional("DecimalValue", Decimal))
        .with(Property::optional("TextValue", String))
        .with(Property::optional("TimeValue", DateTimeOffset))
        .with(Property::optional("DurationValue", Duration))
        .with(Property::optional("BytesValue", Binary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_one() {
        let model = model();
        for set in [CONNECTIONS, POINTS, READINGS, LATEST_READINGS] {
            assert!(model.set(set).is_some(), "{set}");
        }
    }
}
