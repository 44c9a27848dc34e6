//! Laws of the parser: a printed tree parses to the same tree, and no input makes it panic.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bulkhead_odata::expr::{Argument, BinaryOp, Expr, ExprKind, Segment, UnaryOp, parse};
use bulkhead_odata::limits::Limits;
use bulkhead_odata::literal::Literal;
use bulkhead_odata::plan::{Circumstances, plan};
use bulkhead_odata::{EntitySet, EntityType, Model, PrimitiveType, Property};
use proptest::prelude::*;

fn node(kind: ExprKind) -> Expr {
    Expr { kind, at: 0 }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("Name"), Just("Größe"), Just("_x9"), Just("Price"), Just("order")].prop_map(str::to_owned)
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        any::<i64>().prop_map(|number| Literal::Integer(number.to_string())),
        (any::<i32>(), 0..1000_u32).prop_map(|(whole, part)| Literal::Number(format!("{whole}.{part}e-3"))),
        Just(Literal::NonFinite(f64::NEG_INFINITY)),
        "\\PC{0,12}".prop_map(Literal::String),
        Just(Literal::DateTimeOffset("2026-01-02T03:04:05.678+01:00".into())),
        Just(Literal::Date("-0044-03-15".into())),
        Just(Literal::TimeOfDay("23:59".into())),
        Just(Literal::Guid("a1234567-89ab-cdef-0123-456789abcdef".into())),
        Just(Literal::Duration("-P1DT2H3.5S".into())),
        Just(Literal::Enum("Sales.Pattern".into(), "Solid,-4".into())),
    ]
}

fn tree() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        literal().prop_map(|literal| node(ExprKind::Literal(literal))),
        prop::collection::vec(name(), 1..4)
            .prop_map(|names| node(ExprKind::Path(names.into_iter().map(Segment::Name).collect()))),
    ];
    leaf.prop_recursive(5, 60, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            (prop::sample::select(BinaryOp::ALL), boxed.clone(), boxed.clone())
                .prop_map(|(op, left, right)| node(ExprKind::Binary(op, left, right))),
            (any::<bool>(), boxed.clone()).prop_map(|(not, operand)| {
                node(ExprKind::Unary(if not { UnaryOp::Not } else { UnaryOp::Negate }, operand))
            }),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| node(ExprKind::List(items))),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| { node(ExprKind::Call { function: "contains".into(), arguments: vec![a, b] }) }),
            (name(), name(), any::<bool>(), boxed.clone()).prop_map(|(path, variable, all, condition)| {
                let lambda = Segment::Lambda { all, body: Some((variable, condition)) };
                node(ExprKind::Path(vec![Segment::Name(path), lambda]))
            }),
            (name(), name(), inner.clone()).prop_map(|(path, parameter, value)| {
                let argument = Argument { name: Some(parameter), value };
                node(ExprKind::Path(vec![Segment::Name(path), Segment::Call("Model.Find".into(), vec![argument])]))
            }),
            (
                name(),
                prop::option::of(boxed.clone()),
                prop::option::of(prop::sample::select(vec!["a b", "\"x y\"", "(a OR b) AND NOT c"]))
            )
                .prop_filter("one at least", |(_, filter, search)| filter.is_some() || search.is_some())
                .prop_map(|(path, filter, search)| {
                    let count = Segment::Count { filter, search: search.map(str::to_owned) };
                    node(ExprKind::Path(vec![Segment::Name(path), count]))
                }),
            (name(), boxed.clone()).prop_map(|(path, condition)| {
                let segments = vec![Segment::Name(path), Segment::Filter(condition), Segment::Name("$count".into())];
                node(ExprKind::Path(segments))
            }),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| node(ExprKind::Case(vec![(a, b)]))),
            ("\\PC{0,6}", inner).prop_map(|(name, value)| node(ExprKind::Record(vec![(name, value)]))),
        ]
    })
}

fn model() -> Model {
    let ty = EntityType::new("Point", ["Name"])
        .with(Property::required("Name", PrimitiveType::String))
        .with(Property::optional("Price", PrimitiveType::Decimal));
    Model::new("N", "C", vec![ty], vec![EntitySet::new("Points", "Point")]).unwrap()
}

fn limits() -> Limits {
    Limits { bytes: 1 << 20, depth: 200, nodes: 10_000 }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_tree_parses_to_itself(tree in tree()) {
        let text = tree.to_string();
        let parsed = parse(&text, limits()).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(parsed, tree, "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
        let _ = parse(&text, Limits::default());
    }

    #[test]
    fn nothing_made_of_the_grammars_pieces_makes_it_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "(", ")", "$count(", "$search=", ";", "'", "\"", ",", "/", " ", "not", "eq", "in", "any", "all(", "$filter(", "$it", "@p", "x", ":", "=",
            "[", "]", "{", "}", "-", "+", "1", ".5", "e9", "2012-09-03", "T10:00Z", "duration'P1D'", "é", "%", "null", "*",
        ]), 0..24),
    ) {
        let text = pieces.concat();
        let _ = parse(&text, Limits::default());
        let query = format!("$filter={text}&$select={text}&$orderby={text}&@p={text}");
        let circumstances = Circumstances { page_max_rows: 10, now_ns: 0, limits: Limits::default() };
        let _ = plan(&model(), &format!("Points({text})"), "", circumstances);
        let _ = plan(&model(), "Points", &query, circumstances);
        for rule in ["filter", "search", "searchExpr", "select", "primitiveLiteral", "primitiveValue", "enumValue"] {
            let _ = bulkhead_odata::rules::check(rule, &text);
        }
    }
}
