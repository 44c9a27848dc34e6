//! `$filter`, `$orderby` and `$compute`: every operator and function, and what of them is wrong.

use crate::server::{get, json, names};

const ALL: &[&str] = &[
    "Laptop",
    "Wireless Mouse",
    "Coffee Mug",
    "Office Chair",
    "Smartphone",
    "Premium Laptop Pro",
    "Gaming Mouse Ultra",
];

#[test]
fn filters_let_through_what_the_standard_says() {
    let cases: &[(&str, &[&str])] = &[
        ("Name eq 'Laptop'", &["Laptop"]),
        ("Name EQ 'Laptop' OR NAME EQ 'x'", &[]),
        ("Price gt 249.99 and Price le 999.99", &["Laptop", "Smartphone"]),
        ("not (Price gt 100)", &["Wireless Mouse", "Coffee Mug"]),
        ("Rating in (200,110)", &["Laptop", "Wireless Mouse"]),
        ("Name in ['Laptop','Coffee Mug']", &["Laptop", "Coffee Mug"]),
        ("CategoryID in ($root/Categories/ID)", ALL),
        ("Description eq null", ALL),
        ("Price add 1 gt 2000", &["Premium Laptop Pro"]),
        ("Price sub 1 gt 1998", &["Premium Laptop Pro"]),
        ("-Price lt -1000", &["Premium Laptop Pro"]),
        ("Quantity mul 2 eq 600", &["Wireless Mouse"]),
        ("Quantity div 7 eq 171 and Quantity mod 7 eq 3", &["Laptop"]),
        ("Rating divby 200 eq 1", &["Laptop"]),
        ("contains(Name,'Lap')", &["Laptop", "Premium Laptop Pro"]),
        ("startswith(Name,'L')", &["Laptop"]),
        ("endswith(Name,'Pro')", &["Premium Laptop Pro"]),
        ("length(Name) eq 6", &["Laptop"]),
        ("indexof(Name,'aptop') eq 1", &["Laptop"]),
        ("substring(Name,1) eq 'aptop'", &["Laptop"]),
        ("substring(Name,-3) eq 'top' and substring(Name,-99,3) eq 'Lap'", &["Laptop"]),
        ("substring(Name,0,3) eq 'Lap'", &["Laptop"]),
        ("tolower(Name) eq 'laptop' or toupper(Name) eq 'COFFEE MUG'", &["Laptop", "Coffee Mug"]),
        ("trim(concat(Name,'  ')) eq 'Laptop'", &["Laptop"]),
        ("matchesPattern(Name,'^L.*p$')", &["Laptop"]),
        ("year(CreatedAt) eq 2023 and month(CreatedAt) eq 11 and day(CreatedAt) eq 5", &["Coffee Mug"]),
        ("year(ReleaseDate) eq 2024 and month(ReleaseDate) eq 12 and day(ReleaseDate) eq 31", &["Office Chair"]),
        ("hour(CreatedAt) eq 14 and minute(CreatedAt) eq 45 and second(CreatedAt) eq 0", &["Wireless Mouse"]),
        ("hour(OpenTime) eq 9 and minute(OpenTime) eq 30", &["Laptop"]),
        ("fractionalseconds(CreatedAt) eq 0", ALL),
        ("totaloffsetminutes(CreatedAt) eq 0", ALL),
        ("date(CreatedAt) eq 2024-01-15 and time(CreatedAt) eq 10:30:00", &["Laptop"]),
        ("CreatedAt lt now() and CreatedAt gt mindatetime() and CreatedAt lt maxdatetime()", ALL),
        ("CreatedAt eq 2024-01-15T11:30:00+01:00", &["Laptop"]),
        ("CreatedAt add duration'P1D' eq 2024-01-16T10:30:00Z", &["Laptop"]),
        ("CreatedAt sub 2024-01-15T00:00:00Z eq duration'PT10H30M'", &["Laptop"]),
        ("ReleaseDate lt 2024-01-15", &["Coffee Mug"]),
        ("OpenTime eq 23:59:59", &["Office Chair"]),
        ("ShippingTime eq duration'P1D'", &["Laptop"]),
        ("ProcessingTime eq 'PT1.5S'", &["Wireless Mouse"]),
        ("totalseconds(ProcessingTime) eq 1.5", &["Wireless Mouse"]),
        ("Offset lt duration'PT0S'", &["Wireless Mouse"]),
        (
            "round(Price) eq 1000 or floor(Price) eq 249 or ceiling(Price) eq 16",
            &["Laptop", "Coffee Mug", "Office Chair"],
        ),
        ("Data eq binary'dGVzdA=='", &["Laptop"]),
        ("Temperature eq -10 and Weight eq 3.14", &["Laptop"]),
        ("Status eq Shop.ProductStatus'InStock'", &["Coffee Mug"]),
        ("Status eq 'Featured,InStock' and Price lt 1000", &["Laptop"]),
        ("Status has Shop.ProductStatus'OnSale,Featured'", &["Smartphone"]),
        ("Status has 'Discontinued'", &["Office Chair"]),
        ("ShippingAddress/City eq 'Seattle'", &["Laptop"]),
        ("ShippingAddress eq null", &["Office Chair"]),
        ("Dimensions/Length gt 35 and Dimensions/Unit eq 'cm'", &["Laptop", "Premium Laptop Pro"]),
        ("Category/Name eq 'Kitchen'", &["Coffee Mug"]),
        ("Category ne null and Price lt 16", &["Coffee Mug"]),
        ("Category eq null", &[]),
        ("Category/Products/$count eq 1", &["Coffee Mug", "Office Chair"]),
        ("Descriptions/any()", &["Laptop", "Wireless Mouse", "Coffee Mug", "Smartphone"]),
        ("Descriptions/any(d:d/LanguageKey eq 'DE')", &["Laptop"]),
        ("Descriptions/any(d:d/LanguageKey eq 'FR' and contains(d/Description,'fil'))", &["Wireless Mouse"]),
        ("Descriptions/all(d:d/LanguageKey eq 'EN') and Descriptions/any()", &["Coffee Mug"]),
        ("Category/Products/any(p:p/Price gt Price)", &[]),
        (
            "Category/Products/any(p:p/Price gt $it/Price)",
            &["Laptop", "Wireless Mouse", "Smartphone", "Gaming Mouse Ultra"],
        ),
        ("Descriptions/$count gt 1", &["Laptop", "Wireless Mouse", "Smartphone"]),
        ("Descriptions/$filter(LanguageKey eq 'ES')/$count eq 1", &["Smartphone"]),
        ("Shop.SpecialProduct/SpecialProperty eq 'RGB lighting'", &["Gaming Mouse Ultra"]),
        ("isof(Shop.SpecialProduct) and Price lt 500", &["Gaming Mouse Ultra"]),
        ("cast(Price,Edm.Int32) eq 999", &["Laptop"]),
        ("cast(Rating,Edm.String) eq '200'", &["Laptop"]),
        ("cast(Status,Edm.String) eq 'Discontinued'", &["Office Chair"]),
        ("isof(Price,Edm.Double)", ALL),
        ("isof(Price,Edm.String)", &[]),
        ("case(Price gt 1000:'high',Price lt 20:'low') eq 'low'", &["Coffee Mug"]),
        ("geo.distance(Location,geography'SRID=4326;Point(-122.33 47.6)') lt 1000", &["Laptop"]),
        ("geo.intersects(geography'Point(-97.9 30.2)',Area)", &["Smartphone"]),
        ("geo.length(Route) lt 10000", &["Coffee Mug", "Smartphone", "Premium Laptop Pro"]),
        ("Name eq @name&@name='Laptop'", &["Laptop"]),
        ("Price gt @missing", &[]),
        ("$it/Name eq 'Laptop'", &["Laptop"]),
        ("Name eq 'x' or true", ALL),
        ("null", &[]),
    ];
    for (filter, expected) in cases {
        if filter.contains("NAME EQ") {
            // Names of properties are as the model has them; only words of the language go in any case.
            assert_eq!(get(&format!("Products?$filter={filter}")).status, 400);
            continue;
        }
        if filter.contains("p/Price gt Price") {
            // Without a prefix it is the row's own.
            assert_eq!(names(&format!("Products?$filter={filter}")).len(), 4);
            continue;
        }
        assert_eq!(&names(&format!("Products?$filter={filter}")), expected, "{filter}");
    }
}

#[test]
fn filters_look_into_collections_objects_and_the_zones_of_literals() {
    let everyone = ALL;
    let nobody: &[&str] = &[];
    let cases: &[(&str, &[&str])] = &[
        ("contains([1,2,3],[2,3])", everyone),
        ("contains([1,2,3],[1,3])", nobody),
        ("startswith([1,2],[1]) and endswith([1,2],[2]) and endswith([1,2],[])", everyone),
        ("indexof([1,2,3],[2,3]) eq 1 and indexof([1],[2,3]) eq -1", everyone),
        ("hassubset([4,1,3,1],[1,1]) and hassubset([4,1,3],[3,1])", everyone),
        ("hassubset([1,2],[1,1,2])", nobody),
        ("hassubsequence([4,1,3,1],[1,1]) and not hassubsequence([4,1,3],[3,1])", everyone),
        ("[Name,ProductType] in [[\"Laptop\",\"SpecialProduct\"],[\"x\",\"y\"]]", &["Laptop"]),
        ("Dimensions eq {\"Length\":15,\"Width\":7.5,\"Height\":0.8,\"Unit\":\"cm\"}", &["Smartphone"]),
        ("{\"Length\":15,\"Width\":7.5,\"Height\":0.8,\"Unit\":\"cm\"} eq Dimensions", &["Smartphone"]),
        ("Dimensions in [{\"Length\":15,\"Width\":7.5,\"Height\":0.8,\"Unit\":\"cm\"}]", &["Smartphone"]),
        ("Dimensions eq @d&@d={\"Length\":15,\"Width\":7.5,\"Height\":0.8,\"Unit\":\"cm\"}", &["Smartphone"]),
        ("ShippingAddress ne {\"City\":\"Austin\"}", everyone),
        (
            "Descriptions/$count($filter=LanguageKey eq 'EN') eq 1 and Descriptions/$count eq 2",
            &["Laptop", "Wireless Mouse", "Smartphone"],
        ),
        ("Descriptions/$count($search=laptop) eq 2", &["Laptop"]),
        ("Descriptions/$count(filter=LanguageKey eq 'DE';$search=(schneller OR langsam) AND laptop) eq 1", &["Laptop"]),
        ("Descriptions/ANY(d:d/LanguageKey eq 'DE')", &["Laptop"]),
        ("hour(2020-01-01T23:30:00+02:00) eq 23 and day(2020-01-01T23:30:00-02:00) eq 1", everyone),
        ("totaloffsetminutes(2020-01-01T00:00:00-02:30) eq -150", everyone),
        ("time(@t) eq 23:30:00&@t=2020-01-01T23:30:00+02:00", everyone),
        ("Price div 0 eq INF and -Price div 0 eq -INF", everyone),
        ("Quantity divby 0 eq INF", &["Laptop", "Wireless Mouse", "Office Chair"]),
        ("1200 div Quantity eq 1", &["Laptop"]),
        ("ID ge ID and ID le ID and not (ID gt ID)", everyone),
    ];
    for (filter, expected) in cases {
        assert_eq!(&names(&format!("Products?$filter={filter}")), expected, "{filter}");
    }
}

#[test]
fn decimals_compare_by_their_digits() {
    let count = |filter: &str| json(&format!("DecimalSamples?$filter={filter}"))["value"].as_array().unwrap().len();
    assert_eq!(count("Amount eq 123.45"), 1);
    assert_eq!(count("Amount eq 123.450000000000000001"), 0);
    assert_eq!(count("Amount lt 123.450000000000000001"), 1);
    assert_eq!(count("Amount add 0.55 eq 124"), 1);
}

#[test]
fn orders_are_by_any_expression() {
    let first = |order: &str| names(&format!("Products?$orderby={order}&$top=2"));
    assert_eq!(first("Price"), ["Coffee Mug", "Wireless Mouse"]);
    assert_eq!(first("Price desc"), ["Premium Laptop Pro", "Laptop"]);
    assert_eq!(first("Rating desc,Name"), ["Office Chair", "Laptop"]);
    assert_eq!(first("Category/Name desc,Price desc"), ["Coffee Mug", "Office Chair"]);
    assert_eq!(first("length(Name),Name"), ["Laptop", "Coffee Mug"]);
    assert_eq!(first("ShippingAddress/City")[0], "Office Chair");
    assert_eq!(first("Descriptions/$count desc,Name desc"), ["Wireless Mouse", "Smartphone"]);
    assert_eq!(first("contains(Name,'Mouse') desc,Price"), ["Wireless Mouse", "Gaming Mouse Ultra"]);
}

#[test]
fn computed_properties_are_there_for_every_other_option() {
    let found = json(
        "Products?$compute=Price mul Quantity as Stock,Stock div 2 as Half&$select=Name,Stock&$filter=Half gt 8000&$orderby=Stock desc",
    );
    let rows = found["value"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{found}");
    assert_eq!(rows[0]["Name"], "Office Chair");
    assert!(rows[0].get("Half").is_none() && rows[0]["Stock"].as_f64().unwrap() > 8e6);
    // Those of a derived type have them all, too, and may be asked for them alone.
    let several = json(
        "Products?$compute=Price mul 2 as D,length(Name) as L,ShippingAddress as A&$select=Name,L,A,Shop.SpecialProduct/D&$top=2",
    );
    let (laptop, mouse) = (&several["value"][0], &several["value"][1]);
    assert_eq!((&laptop["D"], &laptop["L"], &laptop["A"]["City"]), (&1999.98.into(), &6.into(), &"Seattle".into()));
    assert_eq!((mouse.get("D"), &mouse["L"]), (None, &14.into()));
    let all = json("Products?$compute=year(CreatedAt) as Year&$top=1");
    assert_eq!((&all["value"][0]["Year"], &all["value"][0]["Year@odata.type"]), (&2024.into(), &"#Int32".into()));
    // A number that is written as a text does not tell its type.
    let endless = &json("Products?$compute=Price div 0 as Endless&$select=Endless&$top=1")["value"][0];
    assert_eq!((&endless["Endless"], &endless["Endless@odata.type"]), (&"INF".into(), &"#Double".into()));
    let expanded =
        json("Categories?$filter=Name eq 'Kitchen'&$expand=Products($compute=Price mul 2 as Twice;$select=Twice)");
    assert_eq!(expanded["value"][0]["Products"][0]["Twice"], 31.0);
    for wrong in ["Price as Name", "Nope as X", "Price", "Price as 1x"] {
        assert_eq!(get(&format!("Products?$compute={wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn what_is_searched_for_is_found_in_what_is_marked() {
    let found = |search: &str| names(&format!("Products?$search={search}"));
    assert_eq!(found("laptop"), ["Laptop", "Premium Laptop Pro"]);
    assert_eq!(found("laptop AND premium"), ["Premium Laptop Pro"]);
    assert_eq!(found("laptop NOT premium"), ["Laptop"]);
    assert_eq!(found("mug OR chair"), ["Coffee Mug", "Office Chair"]);
    assert_eq!(found("\"Gaming Mouse\""), ["Gaming Mouse Ultra"]);
    assert_eq!(found("(mug OR laptop) AND pro"), ["Premium Laptop Pro"]);
    assert_eq!(found("Seattle"), ["Laptop"]);
    assert_eq!(found(" seattle "), ["Laptop"]);
    assert_eq!(found("nothing"), [""; 0]);
    assert_eq!(get("Products/$count?$search=mouse").text(), "2");
    assert_eq!(get("Products?$search=a;b").status, 400);
    assert_eq!(get("Products?$search=").status, 400);
}
