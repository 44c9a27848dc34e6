//! Names become numbers: what is declared, when, and what a reading keeps.
#![allow(clippy::unwrap_used, reason = "a test that fails is what it is for")]

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host, Running};

/// Returns what the test put into it.
struct Scripted {
    kept: Option<Reading>,
}

#[derive(Deserialize)]
struct Settings {}

impl Adapter for Scripted {
    type Settings = Settings;

    fn start(_: Settings) -> Result<Self, Fault> {
        Ok(Self { kept: None })
    }

    fn check(&mut self) -> Result<String, Fault> {
        Ok("ready".to_owned())
    }
}

impl Poller for Scripted {
    fn poll(&mut self, group: &str) -> Result<Vec<Reading>, Fault> {
        match group {
            "two" => Ok(vec![Reading::new("a", 1.5).unit("m"), Reading::new("b", 2).writable((0.0..=9.0).into())]),
            "feet" => Ok(vec![Reading::new("a", 4.5).unit("ft")]),
            "whole" => Ok(vec![Reading::new("a", 4)]),
            "none" => {
                Ok(vec![Reading::without_value("a", Kind::Real, Status::BAD_TIMEOUT), Reading::new("c", f64::NAN)])
            }
            "keep" => {
                self.kept = Some(Reading::new("kept", "yes"));
                Err(Fault::retry("later", "not now"))
            }
            _ => Ok(self.kept.take().into_iter().collect()),
        }
    }
}

bulkhead_sdk::export!(Scripted: poller);

fn start() -> (Host, Running<Scripted>) {
    let host = Host::install();
    (host, testing::start(serde_json::json!({})).unwrap())
}

#[test]
fn new_names_are_declared_in_one_batch_and_then_never_again() {
    let (host, mut adapter) = start();
    for _ in 0..3 {
        let readings = adapter.poll("two").unwrap();
        assert_eq!((readings[0].name.as_str(), readings[0].unit.as_deref()), ("a", Some("m")));
        assert_eq!(readings[1].value, Some(2.into()));
    }
    assert_eq!(host.declare_calls(), 1);
    assert_eq!(host.points()[1].write.map(|limits| limits.max), Some(Some(9.0)));
}

#[test]
fn a_changed_unit_is_told_and_the_point_keeps_its_number() {
    let (host, mut adapter) = start();
    adapter.poll("two").unwrap();
    assert_eq!(adapter.poll("feet").unwrap()[0].unit.as_deref(), Some("ft"));
    assert_eq!((host.declare_calls(), host.points().len()), (2, 2));
}

#[test]
fn the_same_name_with_another_kind_is_another_point() {
    let (host, mut adapter) = start();
    adapter.poll("two").unwrap();
    adapter.poll("whole").unwrap();
    assert_eq!(host.points().iter().filter(|point| point.name == "a").count(), 2);
}

#[test]
fn a_number_that_is_none_is_bad_without_a_value() {
    let (_host, mut adapter) = start();
    let readings = adapter.poll("none").unwrap();
    assert_eq!((readings[0].status, readings[0].value.as_ref()), (Status::BAD_TIMEOUT, None));
    assert_eq!((readings[1].status, readings[1].value.as_ref()), (Status::BAD_NO_DATA, None));
}

#[test]
fn a_reading_kept_from_a_call_that_failed_still_names_its_point() {
    let (_host, mut adapter) = start();
    assert_eq!(adapter.poll("keep").unwrap_err().code, "later");
    adapter.poll("two").unwrap();
    assert_eq!(adapter.poll("give").unwrap()[0].name, "kept");
}

#[test]
fn a_declaration_that_is_refused_is_the_calls_fault_and_is_tried_again() {
    let (host, mut adapter) = start();
    host.fail_declare(Some(Fault::reconfigure("too-many-points", "enough")));
    assert_eq!(adapter.poll("two").unwrap_err().code, "too-many-points");
    host.fail_declare(None);
    assert_eq!(adapter.poll("two").unwrap().len(), 2);
}

#[test]
fn points_declared_up_front_are_the_ones_readings_name() {
    let host = Host::install();
    let point = points::declare_one(NewPoint::new("a", Kind::Real).unit(Some("m"))).unwrap();
    let mut adapter = testing::start::<Scripted>(serde_json::json!({})).unwrap();
    adapter.poll("two").unwrap();
    assert_eq!(point.name().as_deref(), Some("a"));
    assert_eq!(host.points().iter().filter(|known| known.name == "a").count(), 1);
}

#[test]
fn settings_that_do_not_fit_are_a_fault_that_names_the_field() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only parsed")]
    struct Wanted {
        list: Vec<u8>,
    }
    struct Picky;
    impl Adapter for Picky {
        type Settings = Wanted;
        fn start(_: Wanted) -> Result<Self, Fault> {
            Ok(Picky)
        }
        fn check(&mut self) -> Result<String, Fault> {
            Ok(String::new())
        }
    }
    let fault = testing::start::<Picky>(serde_json::json!({"list": [1, 300]})).err().unwrap();
    assert_eq!((fault.code.as_str(), fault.remedy), ("bad-settings", Remedy::Reconfigure));
    assert!(fault.message.starts_with("settings.list[1]: "), "{}", fault.message);
}
