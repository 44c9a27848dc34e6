//! `$apply` (Data Aggregation 4.0) and `aggregate` in expressions.

use crate::server::{get, json, names, root};
use serde_json::{Value, json as object};

fn rows(apply: &str) -> Vec<Value> {
    json(&format!("Products?$apply={apply}"))["value"].as_array().unwrap().clone()
}

/// A row without control information.
fn plain(row: &Value) -> Value {
    let members = row.as_object().unwrap().iter().filter(|(name, _)| !name.contains('@'));
    Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[test]
fn aggregations_are_computed() {
    let rows = |apply: &str| Value::from(rows(apply));
    let close = |value: &serde_json::Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 1e-6;
    let totals = rows(
        "aggregate(Price with sum as Sum,Price with average as Mean,Price with min as Least,Price with max as Most,CategoryID with countdistinct as Categories,$count as All)",
    );
    let totals = &totals[0];
    assert!(close(&totals["Sum"], 4245.44) && close(&totals["Mean"], 4245.44 / 7.0), "{totals}");
    assert_eq!((&totals["Least"], &totals["Most"]), (&object!(15.5), &object!(1999.99)));
    assert_eq!((&totals["Categories"], &totals["All"]), (&object!(3), &object!(7)));
    let groups =
        json("Products?$apply=groupby((Category/Name),aggregate(Price with max as Most))&$orderby=Most desc&$top=1");
    assert_eq!(groups["value"][0]["Category"]["Name"], "Electronics");
    assert_eq!(groups["@odata.context"], format!("{}$metadata#Products(Category(Name),Most)", root()));
    assert_eq!(rows("groupby((ProductType))").as_array().unwrap().len(), 2);
    assert_eq!(rows("filter(Price gt 100)/aggregate($count as N)")[0]["N"], 5);
    assert_eq!(rows("groupby((CategoryID),aggregate($count as N))/filter(N gt 1)").as_array().unwrap().len(), 1);
    assert_eq!(rows("compute(Price mul 2 as Twice)/aggregate(Twice with max as M)")[0]["M"], 3999.98);
    assert_eq!(rows("aggregate(Descriptions/$count as Texts)")[0]["Texts"], 7);
    assert_eq!(rows("topcount(2,Price)").as_array().unwrap().len(), 2);
    assert_eq!(rows("bottomcount(1,Price)")[0]["Name"], "Coffee Mug");
    assert_eq!(rows("concat(topcount(1,Price),bottomcount(1,Price))").as_array().unwrap().len(), 2);
    assert_eq!(rows("orderby(Price)/skip(1)/top(1)")[0]["Name"], "Wireless Mouse");
    assert_eq!(rows("search(mouse)/aggregate($count as N)")[0]["N"], 2);
    assert_eq!(rows("identity").as_array().unwrap().len(), 7);
    for (wrong, status) in [
        ("aggregate(Name with sum as X)", 400),
        ("aggregate(Price with sum)", 400),
        ("aggregate(Location with max as X)", 400),
        ("aggregate(Photo with min as X)", 400),
        ("aggregate(Nope with sum as X)", 400),
        ("nothing(Price)", 400),
        ("groupby(Name)", 400),
        ("groupby((rollup(Name)))", 501),
        ("groupby((rolluprecursive(Name)))", 501),
        ("groupby((rollup()))", 400),
        ("groupby((rollup(Name,Rating)),groupby((rollup(Name,Rating))))", 501),
        ("join(Category as C)", 400),
        ("join(Name as N)", 400),
        ("join(Descriptions)", 400),
        ("nest(identity)", 400),
        ("nest(identity as A,identity as A)", 400),
        ("addnested(Descriptions)", 400),
        ("addnested(Name,identity as N)", 400),
        ("addnested(Category/Products,identity as N)", 501),
        ("aggregate(Price with sum from Category/Name as X)", 400),
        ("aggregate(Price with sum from Nope with max as X)", 400),
        ("ancestors(x)", 501),
        ("filter(Category/Products/aggregate(Name with sum) gt 1)", 400),
        ("filter(Category/Products/aggregate(Price) gt 1)", 400),
        ("filter(Price/aggregate($count) gt 1)", 400),
    ] {
        assert_eq!(get(&format!("Products?$apply={wrong}")).status, status, "{wrong}");
    }
}

#[test]
fn counts_are_decimals_and_entities_count_once() {
    let counted = rows("aggregate($count as N,Name with countdistinct as D)");
    assert_eq!((&counted[0]["N@odata.type"], &counted[0]["D@odata.type"]), (&"#Decimal".into(), &"#Decimal".into()));
    // Every product is reached from each of its category.
    let reached = rows("aggregate(Category/Products/$count as N,Category/Products/Price with min as P)");
    assert_eq!(plain(&reached[0]), object!({ "N": 7, "P": 15.5 }));
    let computed = rows("aggregate(Category/Products/$count as N)/compute(N mul 2 as M)");
    assert_eq!(computed[0]["M"], 14);
}

#[test]
fn contexts_say_what_was_added() {
    let context = |apply: &str| {
        let found = json(&format!("Products?$apply={apply}"));
        found["@odata.context"].as_str().unwrap().replace(&format!("{}$metadata#", root()), "")
    };
    assert_eq!(context("compute(Price mul 2 as Twice)"), "Products(*,Twice)");
    assert_eq!(context("compute(Price mul 2 as Twice)/filter(Twice gt 1)&$select=Twice"), "Products(Twice)");
    assert_eq!(context("join(Descriptions as D)"), "Products(*,D)");
    assert_eq!(context("filter(Price gt 1)"), "Products");
    let row = &json("Products?$apply=compute(Price mul 2 as Twice)&$top=1")["value"][0];
    assert_eq!((&row["Twice"], &row["Name"]), (&object!(1999.98), &object!("Laptop")));
}

#[test]
fn what_was_put_into_rows_can_be_expanded() {
    let joined =
        json("Products?$apply=join(Descriptions as Text)&$select=Name&$expand=Text($select=LanguageKey)&$top=2");
    assert_eq!(joined["@odata.context"], format!("{}$metadata#Products(Name,Text(LanguageKey))", root()));
    assert_eq!(joined["value"][1]["Text"]["LanguageKey"], "DE");
    assert!(joined["value"][1]["Text"].get("Description").is_none());
    let deep = json("Products?$apply=join(Descriptions as T)&$top=1&$expand=T($expand=Product($select=Name))");
    assert_eq!(deep["value"][0]["T"]["Product"]["Name"], "Laptop");
    let grouped = json("Products?$apply=groupby((Category),aggregate($count as N))&$expand=Category&$select=N");
    assert_eq!(grouped["value"][0]["Category"]["Name"], "Electronics");
    let added = json(
        "Products?$apply=filter(Name eq 'Laptop')/addnested(Descriptions,identity as T)&$expand=T($filter=LanguageKey eq 'DE';$count=true)&$select=Name",
    );
    assert_eq!((&added["value"][0]["T@odata.count"], added["value"][0]["T"].as_array().unwrap().len()), (&1.into(), 1));
    assert_eq!(get("Products?$apply=groupby((Name))&$expand=Category").status, 400);
}

#[test]
fn groups_are_rolled_up() {
    let found = rows("groupby((rollup($all,Category/Name,ProductType)),aggregate($count as N))");
    let found: Vec<Value> = found.iter().map(plain).collect();
    let electronics = object!({ "Name": "Electronics" });
    assert_eq!(found.len(), 4 + 3 + 1, "{found:?}");
    assert_eq!(found[0], object!({ "Category": electronics, "ProductType": "SpecialProduct", "N": 3 }));
    assert_eq!(found[4], object!({ "Category": electronics, "N": 5 }));
    assert_eq!(found[7], object!({ "N": 7 }));
    let two = rows("groupby((rollup(Category/Name,ProductType),rollup(Status,Rating)))");
    let levels = |row: &&Value| row.get("ProductType").is_none() && row.get("Rating").is_none();
    assert!(two.iter().any(|row| levels(&row)) && two.iter().all(|row| row["Status"].is_string()), "{two:?}");
}

#[test]
fn values_come_from_groups() {
    let same = |short: &str, long: &str| assert_eq!(plain(&rows(short)[0]), plain(&rows(long)[0]), "{short}");
    same(
        "aggregate(Price with sum from Category/Name with average as D)",
        "groupby((Category/Name),aggregate(Price with sum as T))/aggregate(T with average as D)",
    );
    same(
        "aggregate($count from Category/Name,ProductType with max as D)",
        "groupby((Category/Name,ProductType),aggregate($count as T))/aggregate(T with max as D)",
    );
    let both = rows("aggregate(Price with max from Category/Name,ProductType with min as A,$count as N)");
    assert_eq!(plain(&both[0]), object!({ "A": 15.5, "N": 7 }));
    let twice = rows("aggregate($count from Category/Name,Status with max from Category/Name with min as M)");
    assert_eq!(twice[0]["M"], 1);
}

#[test]
fn rows_are_joined_with_what_they_lead_to() {
    let counted = rows("join(Descriptions as D)/groupby((D/LanguageKey),aggregate($count as N))");
    assert_eq!(plain(&counted[0]), object!({ "D": { "LanguageKey": "EN" }, "N": 4 }));
    assert_eq!(rows("join(Descriptions as D)").len(), 7);
    assert_eq!(rows("outerjoin(Descriptions as D)").len(), 10);
    assert_eq!(
        names("Products?$apply=outerjoin(Descriptions as D)/filter(D eq null)&$select=Name"),
        ["Office Chair", "Premium Laptop Pro", "Gaming Mouse Ultra"]
    );
    let filtered = json(
        "Products?$apply=join(Descriptions as D,filter(LanguageKey eq 'DE'))/compute(concat(Name,D/LanguageKey) as X)&$select=X",
    );
    assert_eq!(filtered["value"][0]["X"], "LaptopDE");
}

#[test]
fn collections_are_nested_in_rows() {
    let nested = rows("nest(groupby((ProductType)) as Kinds,aggregate($count as N) as Counts)");
    assert_eq!((nested.len(), nested[0]["Kinds"].as_array().unwrap().len()), (1, 2));
    assert_eq!(nested[0]["Counts"][0]["N"], 7);
    let added = json(
        "Products?$apply=filter(Name eq 'Laptop')/addnested(Descriptions,filter(LanguageKey eq 'DE') as De,aggregate($count as N) as All)&$select=De,All",
    );
    assert_eq!(added["value"][0]["De"][0]["LanguageKey"], "DE");
    assert_eq!(added["value"][0]["All"][0]["N"], 2);
    let single = json("Products?$apply=addnested(Category,compute(length(Name) as L) as C)&$select=C&$top=1");
    assert_eq!(single["value"][0]["C"]["L"], 11);
}

#[test]
fn expressions_aggregate_collections() {
    let found = |filter: &str| names(&format!("Categories?$filter={filter}"));
    assert_eq!(found("Products/aggregate(Price with sum) gt 300"), ["Electronics"]);
    assert_eq!(found("Products/aggregate(Descriptions/LanguageKey with countdistinct) eq 1"), ["Kitchen"]);
    assert_eq!(found("Products/aggregate($count) eq 1"), ["Kitchen", "Furniture"]);
    assert_eq!(found("Products/aggregate(Price mul 2 with min) gt 400"), ["Furniture"]);
    assert_eq!(found("Products/$filter(Price gt 99999)/aggregate(Price with max) eq null").len(), 3);
    assert_eq!(
        names("Categories?$orderby=Products/aggregate(Price with average) desc"),
        ["Electronics", "Furniture", "Kitchen"]
    );
}

#[test]
fn joined_sets_are_aggregated() {
    let url = "$crossjoin(Products,Categories)?$apply=filter(Products/CategoryID eq Categories/ID)\
               /groupby((Categories/Name),aggregate(Products/Price with max as Most))&$orderby=Most desc";
    let found = json(url);
    let context = format!("{}$metadata#Collection(Edm.ComplexType)(Categories(Name),Most)", root());
    assert_eq!(found["@odata.context"], context);
    assert_eq!(plain(&found["value"][0]), object!({ "Categories": { "Name": "Electronics" }, "Most": 1999.99 }));
}
