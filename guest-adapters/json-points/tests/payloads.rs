//! Payloads as devices send them, and what a mapping takes from them.

use bulkhead_json_points::{Found, Mapping, Place, Reader};
use bulkhead_sdk::{Status, Value};
use proptest::prelude::*;

fn reader(settings: &str) -> Reader {
    let mapping: Mapping = serde_json::from_str(settings).expect("settings");
    Reader::new(&mapping).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn read(settings: &str, payload: &str) -> Vec<Found> {
    reader(settings).read(payload.as_bytes()).unwrap_or_else(|problem| panic!("{problem}")).collect()
}

fn problem(settings: &str, payload: &[u8]) -> (Status, String) {
    match reader(settings).read(payload) {
        Ok(found) => panic!("{:?}", found.collect::<Vec<_>>()),
        Err(problem) => (problem.status, problem.to_string()),
    }
}

/// `place=value` or `place!status message`, with `@time` where there is one.
fn lines(found: &[Found]) -> Vec<String> {
    let line = |found: &Found| {
        let place = match &found.place {
            Place::Listed(index) => format!("#{index}"),
            Place::OfElement(element, index) => format!("{element}#{index}"),
            Place::Named(name) => name.clone(),
            Place::Unknown => "?".to_owned(),
        };
        let value = match &found.value {
            Ok(Value::Real(number)) => format!("={number}"),
            Ok(Value::Decimal(text) | Value::Text(text)) => format!("={text}"),
            Ok(Value::Boolean(value)) => format!("={value}"),
            Ok(Value::Integer(value)) => format!("={value}"),
            Ok(value) => format!("={value:?}"),
            Err(problem) => format!("!{} {problem}", problem.status.name().unwrap_or_default()),
        };
        format!("{place}{value}{}", found.time.map(|time| format!("@{}", time / 1_000_000_000)).unwrap_or_default())
    };
    found.iter().map(line).collect()
}

#[test]
fn listed_points_are_taken_and_the_rest_passed_over() {
    let settings = r#"{"points":[{"path":"$.temp","scale":0.1},{"path":"s[1].v","type":"decimal"},{"path":"ok","type":"boolean"}],
                       "time":{"path":"ts","format":"unix-s"}}"#;
    let payload =
        r#"{"x":[{"temp":1}],"temp":215,"s":[{"v":1},{"v":12.500}],"ok":true,"ts":1700000000,"more":{"temp":2}}"#;
    assert_eq!(lines(&read(settings, payload)), ["#0=21.5@1700000000", "#1=12.500@1700000000", "#2=true@1700000000"]);
}

#[test]
fn one_bad_value_leaves_the_others() {
    let settings =
        r#"{"points":[{"path":"a"},{"path":"b","type":"integer"},{"path":"c"},{"path":"d","optional":true}]}"#;
    assert_eq!(
        lines(&read(settings, r#"{"b":"x","a":1,"c":null}"#)),
        [
            "#1!BadTypeMismatch at `b` expected a whole number, found the text `x`",
            "#0=1",
            "#2!BadNoData at `c` expected a number, found null",
        ]
    );
    assert_eq!(
        lines(&read(settings, r#"{"a":1,"b":2}"#)),
        ["#0=1", "#1=2", "#2!BadNoData at `c` expected a number, found nothing",]
    );
}

#[test]
fn a_payload_that_is_no_json_says_where() {
    let settings = r#"{"points":[{"path":"a"}]}"#;
    let (status, message) = problem(settings, br#"{"a":1,"#);
    assert_eq!(status, Status::BAD_DECODING_ERROR);
    assert!(
        message.starts_with("expected JSON, found EOF while parsing") && message.contains("line 1 column 7"),
        "{message}"
    );
    for payload in [&b""[..], b"{}x", b"\xff", b"{\"a\":1,}", b"{\"b\":[1,2}"] {
        assert_eq!(problem(settings, payload).0, Status::BAD_DECODING_ERROR);
    }
}

#[test]
fn a_bad_time_makes_the_payload_unusable_and_a_missing_one_if_it_is_due() {
    let settings = r#"{"points":[{"path":"a"}],"time":{"path":"t"}}"#;
    assert_eq!(problem(settings, br#"{"a":1,"t":"yesterday"}"#).0, Status::BAD_DECODING_ERROR);
    let (status, message) = problem(settings, br#"{"a":1}"#);
    assert_eq!(
        (status, message.as_str()),
        (Status::BAD_NO_DATA, "at `t` expected the time of the payload, found nothing")
    );
    let optional = r#"{"points":[{"path":"a"}],"time":{"path":"t","optional":true}}"#;
    assert_eq!(lines(&read(optional, r#"{"a":1}"#)), ["#0=1"]);
    assert_eq!(lines(&read(optional, r#"{"t":"1970-01-01T00:00:09Z","a":1}"#)), ["#0=1@9"]);
}

#[test]
fn without_a_list_every_scalar_is_a_point_but_the_time() {
    let settings = r#"{"time":{"path":"ts","format":"unix-s"}}"#;
    let payload = r#"{"ts":5,"motor":{"temp":20,"on":true},"s":[{"v":"x"}],"n":null}"#;
    assert_eq!(
        lines(&read(settings, payload)),
        ["motor.temp=20@5", "motor.on=true@5", "s[0].v=x@5", "n!BadNoData at `n` expected a number, found null@5"]
    );
    assert_eq!(lines(&read("{}", "23.5")), ["$=23.5"]);
    let long = format!("{{\"{}\":1}}", "x".repeat(300));
    assert!(problem("{}", long.as_bytes()).1.contains("paths of at most 255 bytes, found one of 300"));
}

#[test]
fn elements_of_samples_have_their_own_times() {
    let settings =
        r#"{"each":"$.m[*]","points":[{"path":"v"}],"time_path":"t","time":{"path":"ts","format":"unix-s"}}"#;
    let payload = r#"{"ts":9,"m":[{"v":1,"t":5},{"t":6},{"v":3},{"v":4,"t":"x"}]}"#;
    assert_eq!(
        lines(&read(settings, payload)),
        [
            "#0=1@5",
            "#0!BadNoData at `m[1].v` expected a number, found nothing@6",
            "#0=3@9",
            "#0!BadDecodingError at `m[3].t` expected a time as a number, unix-s, found the text `x`@9",
        ]
    );
}

#[test]
fn elements_name_their_point_or_stand_before_their_points() {
    let pairs = r#"{"each":"[*]","name_path":"n","value_path":"v"}"#;
    let payload = r#"[{"n":"a","v":1.5},{"v":true,"n":"b"},{"v":3},{"n":"c"}]"#;
    assert_eq!(
        lines(&read(pairs, payload)),
        [
            "a=1.5",
            "b=true",
            "?!BadNoData at `$[2].n` expected the element's name, found nothing",
            "c!BadNoData at `$[3].v` expected a value, found nothing",
        ]
    );
    let listed =
        r#"{"each":"[*]","name_path":"n","value_path":"v","points":[{"path":"b","type":"boolean"},{"path":"z"}]}"#;
    assert_eq!(
        lines(&read(listed, payload)),
        [
            "#0=true",
            "?!BadNoData at `$[2].n` expected the element's name, found nothing",
            "#1!BadNoData at `z` expected a number, found nothing",
        ]
    );
    let devices = r#"{"each":"$.d[*]","name_path":"id","points":[{"path":"temp"}]}"#;
    assert_eq!(lines(&read(devices, r#"{"d":[{"id":7,"temp":1},{"temp":2,"id":"p2"}]}"#)), ["7#0=1", "p2#0=2"]);
    let open = r#"{"each":"$.d[*]","name_path":"id"}"#;
    assert_eq!(lines(&read(open, r#"{"d":[{"id":"p1","temp":1}]}"#)), ["p1.temp=1"]);
}

#[test]
fn an_array_that_is_none_is_a_problem_of_the_payload() {
    let settings = r#"{"each":"$.m[*]","points":[{"path":"v"}]}"#;
    assert_eq!(
        problem(settings, br#"{"m":{}}"#),
        (Status::BAD_TYPE_MISMATCH, "at `m` expected an array, found an object".into())
    );
    assert_eq!(problem(settings, br#"{}"#), (Status::BAD_NO_DATA, "at `m` expected an array, found nothing".into()));
    assert!(read(settings, r#"{"m":[]}"#).is_empty());
}

#[test]
fn the_last_of_two_equal_names_counts() {
    let settings = r#"{"points":[{"path":"a"}]}"#;
    assert_eq!(lines(&read(settings, r#"{"a":1,"a":2}"#)), ["#0=2"]);
}

#[test]
fn one_place_may_be_two_points_and_have_points_below() {
    let settings = r#"{"points":[{"path":"a","name":"r"},{"path":"a","name":"d","type":"decimal"},{"path":"a.b"}]}"#;
    assert_eq!(
        lines(&read(settings, r#"{"a":1.50}"#)),
        ["#0=1.5", "#1=1.50", "#2!BadNoData at `a.b` expected a number, found nothing"]
    );
    let found = read(settings, r#"{"a":{"b":7}}"#);
    assert_eq!(lines(&found)[2], "#2=7");
}

#[test]
fn older_encodings_are_read() {
    let mut reader = reader(r#"{"points":[{"path":"имя","type":"text"}],"encoding":"cp1251"}"#);
    let (payload, _, _) = encoding_rs::WINDOWS_1251.encode(r#"{"имя":"Насос №1"}"#);
    let found: Vec<Found> = reader.read(&payload).expect("JSON").collect();
    assert_eq!(lines(&found), ["#0=Насос №1"]);
}

#[test]
fn too_many_values_are_refused_not_cut() {
    let payload = format!("[{}1]", "1,".repeat(10_000));
    assert!(problem("{}", payload.as_bytes()).1.contains("at most 10000 values"));
}

const SETTINGS: [&str; 5] = [
    r#"{}"#,
    r#"{"points":[{"path":"a"},{"path":"a.b","type":"decimal"},{"path":"c[1]","type":"text"},{"path":"$","name":"all"}]}"#,
    r#"{"each":"[*]","name_path":"a","value_path":"b","time_path":"c"}"#,
    r#"{"each":"$.a[*]","points":[{"path":"b","type":"integer"}],"time":{"path":"t"},"encoding":"latin-1"}"#,
    r#"{"each":"$.a[*]","name_path":"b"}"#,
];

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|number| serde_json::json!(number)),
        "[abct]{0,3}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map("[abct]", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_no_json_is_a_problem(payload in prop::collection::vec(any::<u8>(), 0..80)) {
        let is_json = serde_json::from_slice::<serde_json::Value>(&payload).is_ok();
        for settings in SETTINGS {
            let mut reader = reader(settings);
            prop_assert!(is_json || reader.read(&payload).is_err());
        }
    }

    #[test]
    fn any_json_is_read_or_refused_with_a_reason(payload in json()) {
        let text = payload.to_string();
        for settings in SETTINGS {
            match reader(settings).read(text.as_bytes()) {
                Err(problem) => prop_assert!(problem.status.is_bad()),
                Ok(found) => for found in found {
                    if let Err(problem) = found.value { prop_assert!(problem.status.is_bad()) }
                },
            }
        }
    }

    #[test]
    fn a_listed_real_is_what_a_tree_would_say(payload in json()) {
        let expected = payload.pointer("/a/b").and_then(serde_json::Value::as_f64);
        let mut reader = reader(r#"{"points":[{"path":"a.b"}]}"#);
        let found: Vec<Found> = reader.read(payload.to_string().as_bytes()).expect("JSON").collect();
        prop_assert_eq!(found.len(), 1);
        match &found[0].value {
            Ok(Value::Real(number)) => prop_assert_eq!(Some(*number), expected),
            Ok(value) => prop_assert!(false, "{:?}", value),
            Err(_) => prop_assert_eq!(expected, None),
        }
    }
}
