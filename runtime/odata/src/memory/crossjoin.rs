//! `$crossjoin`: every entity of each set beside every one of the others (Part 1 §11.2.16).

use super::page::choose;
use super::write::Object;
use super::{Job, context::address, reply};
use crate::eval::Slots;
use crate::handle::{Response, success};
use crate::json;
use crate::limits::ENTITIES_MAX;
use crate::model::{Property, StructuredType, Type};
use crate::negotiate::Metadata;
use crate::options::Options;
use crate::plan::parse_option;
use crate::resource::{Tail, Target};
use crate::select::parse_expand;
use crate::typed::Types;
use crate::value::{Home, Record};
use crate::view::View;
use crate::{Error, Value};
use std::sync::Arc;

/// Answers a cross join.
pub(super) fn answer<'a>(
    job: &Job<'a>,
    sets: &[usize],
    target: &Target,
    mut options: Options,
    mut types: Types<'a>,
) -> Result<Response, Error> {
    let model = job.service.model();
    let mut made = StructuredType::complex("");
    for place in sets {
        let set = &model.entity_sets()[*place];
        let ty = model.type_place(&set.entity_type).map_or_else(|| Type::structured(0), Type::structured);
        made.properties.push(Property::required(&set.name, ty));
    }
    let made = types.make(made);
    let expand = options.take("expand");
    let mut views: Vec<Option<View>> = sets.iter().map(|_| None).collect();
    if let Some(option) = expand {
        for item in parse_option(&option, "$expand", parse_expand)?.0 {
            let index = sets.iter().position(|place| item.path == [model.entity_sets()[*place].name.clone()]);
            let index = index.ok_or_else(|| Error::invalid("$expand", "only the joined sets can be expanded"))?;
            let ty = types.structured(made).properties[index].ty;
            views[index] = Some(job.planner(&mut types).nested(item.parentheses.as_deref(), ty)?);
        }
    }
    let start = job.start(options.take("skiptoken"))?;
    let view = job.planner(&mut types).view(&mut options, Type::structured(made).many())?;
    options.nothing_left("$crossjoin")?;
    let rows = product(job, sets, made)?;
    let chosen = choose(&view, rows, &|row| Slots::of(row.clone()), &job.evaluator(&types));
    types.check_rows()?;
    if target.tail == Tail::Count {
        return Ok(success(job.negotiated, "text/plain;charset=utf-8".into(), chosen.count.to_string().into_bytes()));
    }
    // What has been made of the pairs is written as other such rows are.
    if view.row != Type::structured(made) && types.of_model(view.row.structure().unwrap_or(made)).is_none() {
        let reached = super::reach::Reached::nothing();
        return job.collection(target, &reached, &view, chosen, start, &types);
    }
    let style = job.json_style()?;
    let writer = job.writer(style, &types);
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    if style.format.metadata != Metadata::None {
        object.text(&style.control("context"), &format!("{}$metadata#Collection(Edm.ComplexType)", job.root));
    }
    if view.count {
        let out = object.name(&style.control("count"));
        let _ = json::write_value(out, &Value::Int(chosen.count as i64), style.format.ieee754_compatible);
    }
    let rows_out = object.name("value");
    rows_out.push(b'[');
    let page = job.page_rows();
    for (index, row) in chosen.rows.iter().skip(start).take(page).enumerate() {
        if index > 0 {
            rows_out.push(b',');
        }
        let Value::Record(record) = row else { continue };
        let mut inner = Object::begin(rows_out);
        for (index, property) in types.structured(made).properties.iter().enumerate() {
            let value = &record.values[index];
            match &views[index] {
                Some(view) => {
                    let out = inner.name(&property.name);
                    writer.row(out, value, view.row.structure(), &view.shape, None)?;
                }
                None => {
                    let address = value.record().and_then(|entity| address(&types, entity)).unwrap_or_default();
                    let name = format!("{}{}", property.name, style.control("navigationLink"));
                    inner.text(&name, &format!("{}{address}", job.root));
                }
            }
        }
        inner.end();
    }
    rows_out.push(b']');
    if chosen.rows.len() > start.saturating_add(page) {
        let next = job.link(&format!("$skiptoken=after-{}", start + page), &["skiptoken"]);
        object.text(&style.control("nextLink"), &next);
    }
    object.end();
    Ok(reply::json(style, out))
}

fn product(job: &Job<'_>, sets: &[usize], made: usize) -> Result<Vec<Value>, Error> {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for place in sets {
        let entities = super::queried::all_of_set(job, *place)?;
        if rows.len().saturating_mul(entities.items().len()) > ENTITIES_MAX {
            return Err(Error::Limit { target: "$crossjoin".into(), limit: "entities", max: ENTITIES_MAX });
        }
        let pair = |row: &Vec<Value>, entity: &Value| row.iter().chain([entity]).cloned().collect::<Vec<_>>();
        rows = rows.iter().flat_map(|row| entities.items().iter().map(move |entity| pair(row, entity))).collect();
    }
    let record = |values| Value::Record(Arc::new(Record { ty: made, home: Home::None, values }));
    Ok(rows.into_iter().map(record).collect())
}
