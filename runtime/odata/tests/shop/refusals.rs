//! What is refused, and how: statuses, places in the text, limits, methods.

use crate::server::{get, send};

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    let cases = [
        ("Products?$filter=Price eq", 400, "$filter", "character 8"),
        ("Products?$filter=Price gt 'x'", 400, "$filter", "Edm.Double cannot be compared with Edm.String"),
        ("Products?$filter=Prce gt 1", 400, "$filter", "did you mean `Price`?"),
        ("Products?$filter=Name", 400, "$filter", "must be Edm.Boolean"),
        ("Products?$filter=now(1) gt now()", 400, "$filter", "`)` is expected"),
        ("Products?$filter=ShippingTime div 0 eq null", 400, "$filter", "divides by zero"),
        ("Products?$filter=geo.distance(Location,Area) lt 1", 400, "$filter", "argument 2 of geo.distance"),
        ("Products?$filter=geo.length(Location) lt 1", 400, "$filter", "must be a LineString"),
        ("Products?$filter=geo.intersects(Location,Location)", 400, "$filter", "must be a Polygon"),
        ("Products?$filter=geo.distance(Location,geometry'Point(1 2)') lt 1", 400, "$filter", "argument 2"),
        ("Products?$filter=Name eq \"Laptop\"", 400, "$filter", "an operand is expected"),
        ("Products?$filter=foo(Name)", 400, "$filter", "no function `foo`"),
        ("Products?$filter=contains(Name)", 400, "$filter", "takes 2 arguments"),
        ("Products?$filter=length(Price) gt 1", 400, "$filter", "argument 1 of length"),
        ("Products?$filter=Name has 'x'", 400, "$filter", "looks into an enumeration"),
        ("Products?$filter=Status eq Shop.ProductStatus'Nope'", 400, "$filter", "no member"),
        ("Products?$filter=Descriptions/LanguageKey eq 'EN'", 400, "$filter", "use `any`"),
        ("Products?$filter=Category/any(c:true)", 400, "$filter", "needs a collection"),
        ("Products?$filter=isof(Shop.Nope)", 400, "$filter", "no type `Shop.Nope`"),
        ("Products?$filter=Location eq Location", 400, "$filter", "cannot be compared"),
        ("Products?$filter=Data gt Data", 400, "$filter", "no order"),
        ("Products?$filter=Quantity div 0 eq 1", 400, "$filter", "divides by zero"),
        ("Products?$filter=Price mod 0 eq 1", 400, "$filter", "divides by zero"),
        ("Products?$filter=substring(Name,1,-1) eq 'a'", 400, "$filter", "never negative"),
        ("Products?$filter=contains(Name,['a'])", 400, "$filter", "argument 2 of contains"),
        ("Products?$filter=Descriptions/$count($top=1) eq 1", 400, "$filter", "`$filter` or `$search` is expected"),
        ("Products?$filter=Descriptions/$count($search=() eq 1", 400, "$filter", "expected"),
        ("Products?$filter=ShippingAddress eq {\"Cty\":1}", 400, "$filter", "did you mean `City`?"),
        ("Products?$filter=Name eq {\"City\":1}", 400, "$filter", "complex values only"),
        ("Products?$select=ShippingAddress($filter=City eq 'x')", 400, "$filter", "does not go with"),
        ("Products?$select=ShippingAddress($expand=X)", 400, "$expand", "does not go with"),
        ("Products?$select=Name($top=1)", 400, "$select", "no parts"),
        ("Products?$select=ShippingAddress()", 400, "$select", "an option is expected"),
        ("Products?$select=Nope.*", 400, "$select", "no namespace `Nope`"),
        ("Products?$expand=Category()", 400, "$expand", "an option is expected"),
        ("Products?$expand=Category/Shop.Product", 400, "$expand", "no type derived from `Shop.Category`"),
        ("Products?$expand=Descriptions/$ref($select=LanguageKey)", 400, "$select", "does not go with references"),
        ("Products?$expand=Descriptions/$ref($levels=2)", 400, "$levels", "entities only"),
        ("Products?$expand=Descriptions/$count($top=1)", 400, "$top", "does not go with a count"),
        ("Products?$apply=groupby((Name))&$select=Price", 400, "$select", "the result of $apply"),
        ("Products?$filter=Descriptions/aggregate(~", 400, "$filter", "unexpected character"),
        ("Products?$select=Shop.Nope", 400, "$select", "no type derived"),
        ("Products?$filter=matchesPattern(Name,'(')", 400, "$filter", "regular expression"),
        ("Products?$orderby=Location", 400, "$orderby", "no order to sort by"),
        ("Products?$orderby=Name up", 400, "$orderby", "`up`"),
        ("Products?$select=Nme", 400, "$select", "did you mean `Name`?"),
        ("Products?$select=", 400, "$select", "expected"),
        ("Products?$expand=Name", 400, "$expand", "no navigation property"),
        ("Products?$expand=Category($top=1)", 400, "$top", "single entity"),
        ("Products?$expand=Category,Category", 400, "$expand", "twice"),
        ("Products?$expand=Photo($top=1)", 400, "$expand", "is a stream"),
        ("Products?$expand=$value", 400, "$expand", "no navigation property `$value`"),
        ("Products?$top=-1", 400, "$top", "whole number"),
        ("Products?$top=1&$top=2", 400, "$top", "twice"),
        ("Products?$skip=x", 400, "$skip", "whole number"),
        ("Products?$count=yes", 400, "$count", "true or false"),
        ("Products?$fliter=1", 400, "$fliter", "did you mean `$filter`?"),
        ("Products?$skiptoken=abc", 400, "$skiptoken", "next link"),
        ("Products?$index=1", 400, "$index", "does not go with"),
        ("Products?$filter=%zz", 400, "$filter", "hexadecimal"),
        ("$metadata?$top=1", 400, "$top", "$metadata"),
        ("?$top=1", 400, "$top", "service document"),
        ("Product", 404, "", "did you mean `Products`?"),
        ("$nope", 404, "", "`$nope`"),
        ("Categories?$deltatoken=0", 501, "$deltatoken", "not tracked"),
    ];
    for (url, status, target, message) in cases {
        let answer = get(url);
        let body = answer.json();
        let found = body["error"]["message"].as_str().unwrap();
        assert_eq!((answer.status, body["error"]["target"].as_str().unwrap_or("")), (status, target), "{url}: {found}");
        assert!(found.contains(message), "{url}: {found}");
        assert!(!body["error"]["code"].as_str().unwrap().is_empty());
        assert!(
            answer.header("odata-version").is_some()
                && answer.header("content-type").unwrap().starts_with("application/json")
        );
    }
}

#[test]
fn limits_are_named_when_they_are_passed() {
    let refused = |url: &str, limit: &str| {
        let answer = get(url);
        assert!((400..500).contains(&answer.status), "{limit}: {}", answer.status);
        assert!(answer.text().contains(limit), "{limit}: {}", answer.text());
    };
    refused(&format!("Products?$filter={}true{}", "(".repeat(100), ")".repeat(100)), "64 deep");
    refused(&format!("Products?$filter={}", vec!["true"; 700].join(" or ")), "1000 nodes");
    refused(&format!("Products?$filter=Name eq '{}'", "a".repeat(9_000)), "8192 bytes");
    refused(&format!("Products?{}", "x".repeat(17_000)), "url bytes");
    refused(&format!("Products?{}", vec!["a=b"; 70].join("&")), "query options");
    refused(&format!("Products{}", "/a".repeat(40)), "path segments");
    let deep = (0..8).fold(String::new(), |inner, _| match inner.as_str() {
        "" => "RelatedProducts".to_owned(),
        inner => format!("RelatedProducts($expand={inner})"),
    });
    refused(&format!("Products?$expand={deep}"), "expand depth");
    refused(&format!("Products?$apply={}", vec!["identity"; 70].join("/")), "transformations");
    refused(&format!("Products?$apply={}", vec!["concat(identity,identity)"; 60].join("/")), "rows");
    let joins: Vec<String> = (0..40).map(|n| format!("join(Category/Products as P{n})")).collect();
    refused(&format!("Products?$apply={}", joins.join("/")), "rows");
    refused(
        &format!("Categories?$expand=Products($apply={})", vec!["concat(identity,identity)"; 60].join("/")),
        "rows",
    );
    // One step may take few rows and yet make rows of rows.
    let many = ["concat(identity,identity)"; 9].join("/");
    let product = format!("{many}/nest(identity as A)/join(A as B)/addnested(A,identity as C)/aggregate($count as n)");
    refused(&format!("Products?$apply={product}"), "rows");
    refused(&format!("Products?$apply=groupby((rollup({})))", vec!["Name"; 100].join(",")), "transformations");
    refused(&format!("Products?$apply={}identity{}", "concat(".repeat(500), ",identity)".repeat(500)), "nesting");
    let aliases: String =
        (0..20).map(|n| format!("&@a{n}={}@a{}{}", "not (".repeat(30), n + 1, ")".repeat(30))).collect();
    refused(&format!("Products?$filter=@a0{aliases}&@a20=true"), "128 deep");
}

/// Each level goes through all rows of the one before it.
fn nested_lambdas(levels: usize) -> String {
    (1..=levels).rev().fold("true".to_owned(), |inner, level| {
        let before = if level == 1 { String::new() } else { format!("v{}/", level - 1) };
        format!("{before}Category/Products/all(v{level}:{inner})")
    })
}

#[test]
fn short_expressions_that_take_hours_are_given_up() {
    let answer = get(&format!("Products?$filter={}&$select=Name", nested_lambdas(14)));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("steps of evaluation"), "{}", answer.text());
    // Texts and collections that double, patterns that repeat what repeats.
    let doubled = |times: usize, what: fn(&str) -> String| {
        let before = |index: usize| if index == 0 { "Name".to_owned() } else { format!("V{}", index - 1) };
        let items: Vec<String> = (0..times).map(|index| format!("{} as V{index}", what(&before(index)))).collect();
        format!("$compute={}", items.join(","))
    };
    for url in [
        format!("Products?{}&$select=ID", doubled(60, |text| format!("concat({text},{text})"))),
        format!("Products?{}&$select=V59", doubled(60, |item| format!("[{item},{item}]"))),
        format!(
            "Products?{}&$filter=matchesPattern(V9,'(.{{30}}){{30}}x')",
            doubled(10, |text| format!("concat({text},{text})"))
        ),
    ] {
        let answer = get(&url);
        assert_eq!(answer.status, 400, "{}", &url[..60]);
        assert!(answer.text().contains("steps of evaluation"), "{}", answer.text());
    }
    assert!(get("Products?$filter=matchesPattern(Name,'(.{99}){99}')").text().contains("regular expression"));
    let few = get(&format!("Products?$filter={}&$select=Name", nested_lambdas(4)));
    assert_eq!((few.status, few.json()["value"].as_array().unwrap().len()), (200, 7));
}

#[test]
fn what_is_as_deep_and_long_as_the_limits_allow_is_answered() {
    let nested = |open: &str, inner: &str, close: &str, times: usize| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    for filter in [
        nested("(", "true", ")", 60),
        nested("not (", "true", ")", 30),
        format!("{} eq 'x'", nested("tolower(", "Name", ")", 60)),
        vec!["true"; 500].join(" or "),
        format!("Price{} gt 0", " add 1".repeat(490)),
        nested("Descriptions/any(d:d/Product/", "Descriptions/any()", ")", 1),
    ] {
        let answer = get(&format!("Products?$filter={filter}"));
        assert_eq!(answer.status, 200, "{}: {}", &filter[..40], answer.text());
    }
    // Each level has its own variable.
    let lambdas = (0..25).rev().fold("true".to_owned(), |inner, level| {
        let before = if level == 0 { String::new() } else { format!("v{}/Product/", level - 1) };
        format!("{before}Descriptions/any(v{level}:{inner})")
    });
    assert!(matches!(get(&format!("Products?$top=1&$filter={lambdas}")).status, 200 | 400));
}

#[test]
fn methods_that_write_are_not_allowed() {
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for url in ["Products", "Company", "", "$metadata", "Products(00000000-0000-0000-0000-000000000000)"] {
            let answer = send(method, url, &[("Content-Type", "application/json")], b"{}");
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method} {url}");
        }
    }
    assert_eq!(send("POST", "Reseed", &[], b"").status, 204);
    let act = |content_type: &str, body: &str| {
        send("POST", "Reseed", &[("Content-Type", content_type)], body.as_bytes()).status
    };
    assert_eq!((act("application/json", "{}"), act("application/json", "{")), (204, 400));
    assert_eq!((act("application/json", "{\"x\":1}"), act("application/xml", "<a/>")), (400, 415));
    let wrong = get("Reseed");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(get("$batch").status, 405);
}
