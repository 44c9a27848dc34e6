//! Collections: the rows that a view chooses, page by page, in every format.

use super::context;
use super::reach::Reached;
use super::table;
use super::write::Writer;
use super::{Job, TRACKED, reply};
use crate::apply::{self, run};
use crate::eval::{Evaluator, Slots};
use crate::handle::{Response, success};
use crate::json::{self, Style};
use crate::model::Type;
use crate::negotiate::{DataFormat, Metadata};
use crate::options::Options;
use crate::resource::{Root, Tail, Target};
use crate::typed::Types;
use crate::url::{decode, encode};
use crate::view::{Shape, View};
use crate::{Error, Value};
use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The rows that a view chooses.
pub(super) struct Chosen {
    pub(super) rows: Vec<Value>,
    /// How many there are before `$skip` and `$top`.
    pub(super) count: usize,
}

/// Chooses rows.
pub(super) fn choose(
    view: &View,
    rows: Vec<Value>,
    slots: &dyn Fn(&Value) -> Slots,
    evaluator: &Evaluator<'_>,
) -> Chosen {
    let mut rows = run(&view.apply, rows, evaluator);
    for stage in &view.compute {
        rows = rows.iter().map(|row| stage.apply(row, evaluator, &mut slots(row))).collect();
    }
    if let Some(wanted) = &view.search {
        rows.retain(|row| wanted.is_in(&apply::texts(row, evaluator)));
    }
    if let Some(condition) = &view.filter {
        rows.retain(|row| evaluator.holds(condition, &mut slots(row)));
    }
    let count = rows.len();
    if !view.orderby.is_empty() {
        rows = apply::sorted(rows, &view.orderby, slots, evaluator);
    }
    let limit = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let rows = rows.into_iter().skip(limit(view.skip)).take(view.top.map_or(usize::MAX, limit)).collect();
    Chosen { rows, count }
}

impl<'a> Job<'a> {
    /// Answers a path to entities, values or streams.
    pub(super) fn rows(&self, target: Target, mut options: Options, types: &mut Types<'a>) -> Result<Response, Error> {
        let reached = self.reach(&target, types)?;
        let ty = match (&target.root, target.ty) {
            (Root::All, None) => None,
            (_, ty) => ty,
        };
        if let (Some(queried), Some(ty)) = (reached.queried.clone(), ty) {
            return self.queried(&target, reached, &queried, ty, options, types);
        }
        let start = self.start(options.take("skiptoken"))?;
        if let Some(option) = options.take("deltatoken") {
            return self.delta(&target, &option.value, options, types);
        }
        let Some(ty) = ty else { return self.everything(reached, &target, options, start, types) };
        if target.tail == Tail::Count {
            return self.count(&reached, ty, options, types);
        }
        if !ty.collection {
            return self.single(&target, reached, ty, options, types);
        }
        if target.tail == Tail::Ref {
            // References have no properties that could be shaped.
            let shaped =
                ["select", "expand", "compute", "apply"].iter().find_map(|name| options.take(name).map(|_| *name));
            if let Some(name) = shaped {
                return Err(Error::invalid(format!("${name}"), "this option does not go with references"));
            }
        }
        let view = self.planner(types).view(&mut options, ty)?;
        options.nothing_left("a collection")?;
        super::queried::check_reach(&view, self.service, types)?;
        let chosen =
            choose(&view, reached.value.items().to_vec(), &|row| Slots::of(row.clone()), &self.evaluator(types));
        types.check_rows()?;
        self.collection(&target, &reached, &view, chosen, start, types)
    }

    fn count(
        &self,
        reached: &Reached,
        ty: Type,
        mut options: Options,
        types: &mut Types<'a>,
    ) -> Result<Response, Error> {
        // The standard has these without effect on a count.
        for ignored in ["top", "skip", "orderby", "select", "expand", "count"] {
            options.take(ignored);
        }
        let view = self.planner(types).view(&mut options, ty)?;
        options.nothing_left("$count")?;
        super::queried::check_reach(&view, self.service, types)?;
        let chosen =
            choose(&view, reached.value.items().to_vec(), &|row| Slots::of(row.clone()), &self.evaluator(types));
        types.check_rows()?;
        Ok(success(self.negotiated, "text/plain;charset=utf-8".into(), chosen.count.to_string().into_bytes()))
    }

    /// `$all`: entities of all types, with nothing that all have in common.
    fn everything(
        &self,
        reached: Reached,
        target: &Target,
        mut options: Options,
        start: usize,
        types: &mut Types<'a>,
    ) -> Result<Response, Error> {
        let mut view = self.planner(types).view(&mut Options::default(), Type::structured(0).many())?;
        let search = options.take("search");
        if let Some(option) = search {
            let parsed = crate::plan::parse_option(&option, "$search", crate::search::parse)?;
            view.search = Some(parsed.0);
        }
        if let Some(option) = options.take("top") {
            view.top = Some(crate::options::whole_number(&option, "$top")?);
        }
        if let Some(option) = options.take("skip") {
            view.skip = crate::options::whole_number(&option, "$skip")?;
        }
        if let Some(option) = options.take("count") {
            view.count = crate::options::boolean(&option, "$count")?;
        }
        options.nothing_left("$all; cast it to a type, as in $all/Namespace.Type")?;
        let chosen =
            choose(&view, reached.value.items().to_vec(), &|row| Slots::of(row.clone()), &self.evaluator(types));
        types.check_rows()?;
        if target.tail == Tail::Count {
            let body = chosen.count.to_string().into_bytes();
            return Ok(success(self.negotiated, "text/plain;charset=utf-8".into(), body));
        }
        self.collection(target, &reached, &view, chosen, start, types)
    }

    pub(super) fn writer<'w>(&'w self, style: Style<'w>, types: &'w Types<'a>) -> Writer<'w> {
        Writer {
            style,
            evaluator: self.evaluator(types),
            store: self.store,
            service: self.service,
            omit_nulls: self.preferences.omit_nulls,
            page_rows: self.preferences.page.map_or(usize::MAX, |(_, rows)| rows),
            entities: Cell::new(0),
            it: RefCell::new(Value::Null),
        }
    }

    pub(super) fn collection(
        &self,
        target: &Target,
        reached: &Reached,
        view: &View,
        chosen: Chosen,
        start: usize,
        types: &Types<'a>,
    ) -> Result<Response, Error> {
        let format = self.data_format()?;
        let page = self.page_rows();
        let rows: Vec<&Value> = chosen.rows.iter().skip(start).take(page).collect();
        let more = chosen.rows.len() > start.saturating_add(rows.len());
        let tracked = if self.tracked(target).is_some() { TRACKED } else { "" };
        let next =
            more.then(|| self.link(&format!("$skiptoken=after-{}{tracked}", start + rows.len()), &["skiptoken"]));
        let response = match format {
            DataFormat::Json(format) => {
                let style = Style { root: self.root, negotiated: self.negotiated, format };
                let context = self.context(target, reached, view, style, types);
                let count = view.count.then_some(chosen.count);
                let delta = self.tracked(target).filter(|_| !more);
                let delta = delta.map(|place| {
                    let token = self.delta_token(place, types);
                    self.link(&format!("$deltatoken={token}"), &["skiptoken", "top", "skip", "count"])
                });
                let writer = self.writer(style, types);
                let body =
                    self.json(&writer, target, view, &rows, count, &context, next.as_deref(), delta.as_deref())?;
                reply::json(style, body)
            }
            DataFormat::Csv(cell_text) => {
                let body = table::csv(&rows, view, types, cell_text);
                success(self.negotiated, "text/csv;charset=utf-8;header=present".into(), body).with("link", link(next))
            }
            DataFormat::Ndjson(format) => {
                let style = Style { root: self.root, negotiated: self.negotiated, format };
                let writer = self.writer(style, types);
                let mut body = Vec::new();
                for row in rows {
                    self.json_row(&writer, target, view, row, &mut body)?;
                    body.push(b'\n');
                }
                success(self.negotiated, "application/x-ndjson;charset=utf-8".into(), body).with("link", link(next))
            }
        };
        Ok(response.applied(&self.applied(target)))
    }

    /// Most rows of a page.
    pub(super) fn page_rows(&self) -> usize {
        let own = self.service.page_rows().max(1);
        let most = if self.outlet.is_some() { self.service.page_max_rows().max(1) } else { own };
        self.preferences.page.map_or(own, |(_, rows)| rows.min(most))
    }

    /// The set whose changes the client wants to follow, if it can.
    fn tracked(&self, target: &Target) -> Option<usize> {
        let Root::Set(place) = target.root else { return None };
        let tracks = self.service.model().entity_sets()[place].tracks_changes;
        let plain = target.steps.is_empty() && target.tail == Tail::None;
        let wanted = self.preferences.track_changes.is_some() || self.preferences.goes_on_tracking;
        (tracks && plain && wanted).then_some(place)
    }

    fn applied(&self, target: &Target) -> Vec<String> {
        let mut applied = Vec::new();
        if let Some((name, _)) = self.preferences.page {
            applied.push(format!("{name}={}", self.page_rows()));
        }
        if self.preferences.omit_nulls {
            applied.push("omit-values=nulls".into());
        }
        if let Some(name) = self.tracked(target).and(self.preferences.track_changes) {
            applied.push(name.into());
        }
        applied
    }

    /// This request's URL with some options left out and one more.
    pub(super) fn link(&self, option: &str, without: &[&str]) -> String {
        let kept = self.query.split('&').filter(|part| !part.is_empty()).filter(|part| {
            let name = part.split('=').next().unwrap_or_default();
            let name = decode(name, "query").unwrap_or_default().trim_start_matches('$').to_ascii_lowercase();
            !without.contains(&name.as_str())
        });
        // What came as a body, or from a lenient client, may hold what a URL must not.
        let kept = kept.map(|part| match part.split_once('=') {
            Some((name, value)) => {
                format!("{name}={}", decode(value, name).map_or_else(|_| value.to_owned(), |text| encode(&text)))
            }
            None => part.to_owned(),
        });
        let options: Vec<String> = kept.chain([option.to_owned()]).collect();
        format!("{}{}?{}", self.root, self.path.trim_end_matches('/'), options.join("&"))
    }

    fn context(&self, target: &Target, reached: &Reached, view: &View, style: Style<'_>, types: &Types<'_>) -> String {
        let base = format!("{}$metadata#", self.root);
        match (&target.root, target.tail) {
            (_, Tail::Ref) => return format!("{base}Collection($ref)"),
            // What is made of pairs of entities has no set; its properties are said all the same.
            (Root::CrossJoin(_), _) => {
                let list = view.row.structure().map(|place| context::list(style, types, place, &view.shape));
                return format!("{base}Collection(Edm.ComplexType){}", list.unwrap_or_default());
            }
            (Root::All, _) if target.ty.is_none() => return format!("{base}Collection(Edm.EntityType)"),
            _ => {}
        }
        let complex =
            view.row.structure().is_none_or(|place| types.structured(place).complex && types.of_model(place).is_some());
        if complex && !reached.properties.is_empty() {
            return super::single::property_context(self.root, reached, types).unwrap_or(base);
        }
        context::of_entities(style, types, target.home, view.row, &view.shape, false)
    }

    pub(super) fn json_row(
        &self,
        writer: &Writer<'_>,
        target: &Target,
        view: &View,
        row: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if target.tail == Tail::Ref {
            writer.reference(out, row, None);
            return Ok(());
        }
        let declared = view.row.structure().filter(|_| target.ty.is_some());
        match row {
            // Entities of all sets say each where they are from (Part 1 §10.19).
            Value::Record(record) if target.root == Root::All && target.ty.is_none() => {
                let (types, plain) = (writer.types(), Shape::default());
                let ty = Type::structured(context::declared(types, record.home).unwrap_or(record.ty));
                let context = context::of_entities(writer.style, types, record.home, ty, &plain, true);
                writer.row(out, row, None, &view.shape, Some(&context))
            }
            Value::Record(_) => writer.row(out, row, declared, &view.shape, None),
            _ => writer.plain(out, row, view.row),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one answer, each written once")]
    fn json(
        &self,
        writer: &Writer<'_>,
        target: &Target,
        view: &View,
        rows: &[&Value],
        count: Option<usize>,
        context: &str,
        next: Option<&str>,
        delta: Option<&str>,
    ) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        let style = writer.style;
        let mut object = super::write::Object::begin(&mut out);
        if style.format.metadata != Metadata::None {
            object.text(&style.control("context"), context);
        }
        if let Some(count) = count {
            let out = object.name(&style.control("count"));
            let _ = json::write_value(out, &Value::Int(count as i64), style.format.ieee754_compatible);
        }
        let out_value = object.name("value");
        out_value.push(b'[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                out_value.push(b',');
            }
            self.json_row(writer, target, view, row, out_value)?;
        }
        out_value.push(b']');
        if let Some(next) = next {
            object.text(&style.control("nextLink"), next);
        }
        if let Some(delta) = delta {
            object.text(&style.control("deltaLink"), delta);
        }
        object.end();
        Ok(out)
    }

    /// Names the entities of a set as they are now, so that a delta link of other data, such as that of the process before,
    /// is not taken for one of these.
    fn delta_token(&self, place: usize, types: &Types<'_>) -> String {
        let mut hasher = DefaultHasher::new();
        for entity in self.store.set(place).items() {
            entity.record().and_then(|record| context::address(types, record)).hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }

    /// What has changed since a delta link was given: nothing, because nothing can change.
    fn delta(
        &self,
        target: &Target,
        token: &str,
        mut options: Options,
        types: &mut Types<'a>,
    ) -> Result<Response, Error> {
        let Root::Set(place) = target.root else {
            return Err(Error::invalid("$deltatoken", "it goes with entity sets"));
        };
        let set = &self.service.model().entity_sets()[place];
        if !set.tracks_changes {
            return Err(Error::unsupported("$deltatoken", format!("changes of `{}` are not tracked", set.name)));
        }
        let now = self.delta_token(place, types);
        if token != now {
            return Err(Error::Gone(
                "this delta link is no longer known: read the set again with Prefer: track-changes".into(),
            ));
        }
        let ty = target.ty.unwrap_or_else(|| Type::structured(0).many());
        let view = self.planner(types).view(&mut options, ty)?;
        options.nothing_left("a delta link")?;
        if target.tail == Tail::Count {
            return Ok(success(self.negotiated, "text/plain;charset=utf-8".into(), b"0".to_vec()));
        }
        let style = self.json_style()?;
        let context = context::of_entities(style, types, target.home, view.row, &view.shape, false);
        let mut out = Vec::new();
        let mut object = super::write::Object::begin(&mut out);
        if style.format.metadata != Metadata::None {
            object.text(&style.control("context"), &format!("{context}/$delta"));
        }
        object.name("value").extend_from_slice(b"[]");
        object.text(&style.control("deltaLink"), &self.link(&format!("$deltatoken={now}"), &["deltatoken"]));
        object.end();
        Ok(reply::json(style, out))
    }
}

/// The next page, for formats without a place for it.
fn link(next: Option<String>) -> Option<String> {
    next.map(|next| format!("<{next}>; rel=\"next\""))
}
