//! Expansions: what navigation leads to, written in the place of the navigation property.

use super::context::address;
use super::queried::{Queried, check_reach, record, type_of, with_view};
use super::write::{Object, Pending, Writer, Written, start};
use crate::eval::Slots;
use crate::json;
use crate::limits::EXPANDED_PAGE_ROWS;
use crate::model::{StructuredType, Type};
use crate::negotiate::Metadata;
use crate::value::Record;
use crate::view::{Expanded, Shape};
use crate::{Error, Value};

impl Writer<'_> {
    /// Navigation properties: what they lead to where that is wanted, else where to find it.
    pub(super) fn ways(
        &self,
        object: &mut Object<'_>,
        value: &Value,
        record: &Record,
        structured: &StructuredType,
        shape: &Shape,
        pending: &[Pending<'_>],
    ) -> Written {
        for (position, way) in structured.navigation.iter().enumerate() {
            let wanted = pending.iter().find(|item| item.expand.name == way.name && item.expand.way.len() == item.done);
            let selected = shape.select.as_ref().is_some_and(|select| select.of(&way.name).is_some());
            let link = self.full() && (shape.select.is_none() || selected)
                || selected && self.style.format.metadata == Metadata::Minimal;
            if let Some(address) = address(self.types(), record).filter(|_| link) {
                let url = format!("{}{address}/{}", self.style.root, way.name);
                if self.full() {
                    let name = format!("{}{}", way.name, self.style.control("associationLink"));
                    object.text(&name, &format!("{url}/$ref"));
                }
                object.text(&format!("{}{}", way.name, self.style.control("navigationLink")), &url);
            }
            if let Some(pending) = wanted {
                self.expanded(object, value, position, *pending)?;
            }
        }
        Ok(())
    }

    fn expanded(&self, object: &mut Object<'_>, value: &Value, position: usize, pending: Pending<'_>) -> Written {
        let expand = pending.expand;
        let view = &expand.view;
        let queried = match (value.record(), value.record().and_then(|record| self.types().of_model(record.ty))) {
            (Some(record), Some(ty)) => Queried::beyond(self.service, record, ty, position)?,
            _ => None,
        };
        if let Some(queried) = queried {
            return self.expanded_rows(object, value, &queried, pending);
        }
        let it = self.it.borrow().clone();
        let mut found = self.evaluator.follow(value, position);
        if let Some(cast) = expand.cast {
            found = narrowed(&found, cast, self.types());
        }
        let single = !matches!(found, Value::Collection(_));
        let rows: Vec<Value> = found.items().to_vec();
        let chosen = super::page::choose(view, rows, &|row| Slots::below(&it, row.clone()), &self.evaluator);
        self.types().check_rows()?;
        if view.count || expand.what == Expanded::Count {
            let out = object.name(&format!("{}{}", expand.name, self.style.control("count")));
            let _ = json::write_value(out, &Value::Int(chosen.count as i64), self.style.format.ieee754_compatible);
        }
        if expand.what == Expanded::Count {
            return Ok(());
        }
        let mut below = start(&view.shape);
        if pending.levels > 1 {
            below.push(Pending { expand, done: 0, levels: pending.levels - 1 });
        }
        let out = object.name(&expand.name);
        let declared = view.row.structure();
        let write = |out: &mut Vec<u8>, row: &Value| match expand.what {
            Expanded::References => {
                self.reference(out, row, None);
                Ok(())
            }
            _ => self.object(out, row, declared, &view.shape, &below, None),
        };
        let shown = chosen.rows.len().min(self.page_rows);
        if single {
            return match chosen.rows.first() {
                Some(row) => write(out, row),
                None => {
                    out.extend_from_slice(b"null");
                    Ok(())
                }
            };
        }
        out.push(b'[');
        for (index, row) in chosen.rows[..shown].iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(out, row)?;
        }
        out.push(b']');
        if let (true, Some(record)) = (shown < chosen.rows.len(), value.record())
            && let Some(address) = address(self.types(), record)
        {
            let cast = expand.cast.map(|place| format!("/{}", self.types().name(Type::structured(place))));
            let tail = if expand.what == Expanded::References { "/$ref" } else { "" };
            let options = expand.link_in_memory(shown);
            let link =
                format!("{}{address}/{}{}{tail}?{options}", self.style.root, expand.name, cast.unwrap_or_default());
            object.text(&format!("{}{}", expand.name, self.style.control("nextLink")), &link);
        }
        Ok(())
    }

    /// The rows of a set that the service is asked for: one page, and a link to the rest.
    fn expanded_rows(&self, object: &mut Object<'_>, from: &Value, queried: &Queried, pending: Pending<'_>) -> Written {
        let (expand, view) = (pending.expand, &pending.expand.view);
        check_reach(view, self.service, self.types())?;
        if !view.apply.is_empty() {
            return Err(Error::unsupported("$apply in $expand", format!("use $apply at `{}`", expand.name)));
        }
        let mut query = queried.query(self.service)?;
        with_view(&mut query, view);
        let most = view.top.map_or(EXPANDED_PAGE_ROWS, |top| usize::try_from(top).unwrap_or(usize::MAX));
        query.page_max_rows = most.min(EXPANDED_PAGE_ROWS);
        if expand.what == Expanded::Count {
            let count = self.service.count(&query)?;
            let out = object.name(&format!("{}{}", expand.name, self.style.control("count")));
            let count = Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
            let _ = json::write_value(out, &count, self.style.format.ieee754_compatible);
            return Ok(());
        }
        let page = self.service.read(&query)?;
        if let Some(count) = page.count {
            let out = object.name(&format!("{}{}", expand.name, self.style.control("count")));
            let count = Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
            let _ = json::write_value(out, &count, self.style.format.ieee754_compatible);
        }
        let (ty, declared, below) = (type_of(&query, self.service), view.row.structure(), start(&view.shape));
        let given = page.rows.len() as u64;
        let out = object.name(&expand.name);
        out.push(b'[');
        for (index, row) in page.rows.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let row = record(&query, ty, queried.set, row);
            let row = view.compute.iter().fold(row, |row, stage| {
                stage.apply(&row, &self.evaluator, &mut Slots::below(&self.it.borrow(), row.clone()))
            });
            match expand.what {
                Expanded::References => self.reference(out, &row, None),
                _ => self.object(out, &row, declared, &view.shape, &below, None)?,
            }
        }
        out.push(b']');
        let more = page.next_token.filter(|_| view.top.is_none_or(|top| top > given));
        if let (Some(token), Some(address)) = (more, from.record().and_then(|record| address(self.types(), record))) {
            let options = expand.link_options(&token, view.top.map(|top| top - given));
            let link = format!("{}{address}/{}?{options}", self.style.root, expand.name);
            object.text(&format!("{}{}", expand.name, self.style.control("nextLink")), &link);
        }
        Ok(())
    }
}

fn narrowed(value: &Value, place: usize, types: &crate::typed::Types<'_>) -> Value {
    let is = |value: &Value| value.record().is_some_and(|record| types.is_a(record.ty, place));
    match value {
        Value::Collection(items) => {
            Value::Collection(std::sync::Arc::new(items.iter().filter(|item| is(item)).cloned().collect()))
        }
        single if is(single) => single.clone(),
        _ => Value::Null,
    }
}
