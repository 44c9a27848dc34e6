//! Collections that a service is asked for: page by page to the client, chunk by chunk through memory.

use super::Job;
use super::context;
use super::flat::Flat;
use super::queried::{Queried, check_reach, chunk_rows, record, type_of, with_view};
use super::reach::Reached;
use super::table::Table;
use super::write::Writer;
use crate::apply::Beginning;
use crate::eval::Slots;
use crate::handle::{Outlet, Response, success};
use crate::json::{self, Style};
use crate::limits::{CHUNK_BYTES, PAGE_MAX_ROWS, PAGE_TOKEN_MAX_BYTES};
use crate::model::Type;
use crate::negotiate::{DataFormat, JsonFormat, Metadata};
use crate::options::Options;
use crate::resource::{Tail, Target};
use crate::typed::{TypedExpr, Types};
use crate::url::encode;
use crate::view::View;
use crate::{Error, Query, Value};

/// Where a client is in following a set: what its token says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Place {
    /// Only what has changed since this state.
    since: Option<String>,
    /// Only what has not changed after this state; given where changes are followed.
    until: Option<String>,
    /// The service's own token.
    token: Option<String>,
}

impl Place {
    /// The token of a next link. The service's tokens have no dot.
    fn print(&self) -> String {
        let token = self.token.clone().unwrap_or_default();
        match (&self.since, &self.until) {
            (None, None) => token,
            (since, until) => {
                format!("{}.{}.{token}", since.clone().unwrap_or_default(), until.clone().unwrap_or_default())
            }
        }
    }

    fn parse(text: &str) -> Self {
        let given = |part: &str| (!part.is_empty()).then(|| part.to_owned());
        match text.splitn(3, '.').collect::<Vec<_>>().as_slice() {
            [since, until, token] => Self { since: given(since), until: given(until), token: given(token) },
            _ => Self { token: Some(text.to_owned()), ..Self::default() },
        }
    }
}

/// A body on its way out.
struct Body<'o> {
    out: Vec<u8>,
    outlet: Option<&'o dyn Outlet>,
    head: Response,
    /// The answer's tag, which the whole answer gets elsewhere.
    tag: Option<String>,
    begun: bool,
}

impl Body<'_> {
    /// Gives what there is to the host, once it is much.
    fn pour(&mut self) -> Result<(), Error> {
        let Some(outlet) = self.outlet.filter(|_| self.out.len() >= CHUNK_BYTES) else { return Ok(()) };
        if !self.begun {
            let mut headers = self.head.headers.clone();
            headers.extend(self.tag.take().map(|tag| ("etag", tag)));
            outlet.head(self.head.status, &headers);
            self.begun = true;
        }
        // The next piece will be about as large.
        let next = Vec::with_capacity(self.out.len());
        if outlet.body(std::mem::replace(&mut self.out, next)) {
            Ok(())
        } else {
            Err(Error::Unavailable("the client has gone".into()))
        }
    }
}

/// How the rows of an answer are written.
enum Form<'w, 't> {
    Json(Writer<'w>, JsonFormat),
    Ndjson(Writer<'w>),
    Csv(Table<'t>),
}

impl<'a> Job<'a> {
    /// Answers a path to rows that the service is asked for.
    pub(super) fn queried(
        &self,
        target: &Target,
        mut reached: Reached,
        queried: &Queried,
        ty: Type,
        mut options: Options,
        types: &mut Types<'a>,
    ) -> Result<Response, Error> {
        let mut query = queried.query(self.service)?;
        query.host_options = std::mem::take(&mut options.host);
        if target.tail == Tail::Count {
            for ignored in ["top", "skip", "orderby", "select", "expand", "count"] {
                options.take(ignored);
            }
        }
        let (token, delta) = (options.take("skiptoken"), options.take("deltatoken"));
        let mut view = self.planner(types).view(&mut options, ty)?;
        options.nothing_left(if target.tail == Tail::Count { "$count" } else { "a collection" })?;
        check_reach(&view, self.service, types)?;
        if !view.apply.is_empty() && !as_plain(&mut view) {
            let rows = self.transformed(&query, queried.set, &view.apply, types)?;
            types.check_rows()?;
            let made = View { apply: Vec::new(), ..view.clone() };
            let slots = |row: &Value| Slots::of(row.clone());
            let chosen = super::page::choose(&made, rows, &slots, &self.evaluator(types));
            if target.tail == Tail::Count {
                return Ok(self.number(chosen.count as u64));
            }
            reached.value = Value::Null;
            let start = self.start(token)?;
            return self.collection(target, &reached, &view, chosen, start, types);
        }
        with_view(&mut query, &view);
        if target.tail == Tail::Count {
            return self.service.count(&query).map(|count| self.number(count));
        }
        let place = self.place(token, delta, queried, target, &view)?;
        (query.since, query.until) = (place.since.clone(), place.until.clone());
        query.page_token = place.token.clone();
        self.stream(target, queried, query, &view, place, types)
    }

    fn number(&self, count: u64) -> Response {
        success(self.negotiated, "text/plain;charset=utf-8".into(), count.to_string().into_bytes())
    }

    /// Where the client is: behind a page, at the changes since a delta link, or at the beginning.
    fn place(
        &self,
        token: Option<crate::url::RawOption>,
        delta: Option<crate::url::RawOption>,
        queried: &Queried,
        target: &Target,
        view: &View,
    ) -> Result<Place, Error> {
        let too_long = |option: &crate::url::RawOption| option.value.len() > PAGE_TOKEN_MAX_BYTES;
        if token.as_ref().is_some_and(too_long) || delta.as_ref().is_some_and(too_long) {
            let limit = "page token bytes";
            return Err(Error::Limit { target: "$skiptoken".into(), limit, max: PAGE_TOKEN_MAX_BYTES });
        }
        if let Some(token) = token {
            return Ok(Place::parse(&token.value));
        }
        let set = &self.service.model().entity_sets()[queried.set];
        let whole = target.steps.is_empty() && target.tail == Tail::None && view.top.is_none() && view.skip == 0;
        let state = || self.service.state(queried.set);
        match delta {
            Some(_) if !set.tracks_changes || !whole => {
                Err(Error::unsupported("$deltatoken", "follow the delta link of an entity set as it was given"))
            }
            Some(since) => Ok(Place { since: Some(since.value), until: state(), token: None }),
            None if set.tracks_changes && whole && self.preferences.track_changes.is_some() => {
                Ok(Place { since: None, until: state(), token: None })
            }
            None => Ok(Place::default()),
        }
    }

    /// The tag of what the whole set gives to this URL; none where the time decides, too.
    fn tag_of_set(&self, queried: &Queried, place: &Place) -> Option<String> {
        let timeless = !self.query.to_ascii_lowercase().contains("now");
        let state = self.service.state(queried.set).filter(|_| timeless && *place == Place::default())?;
        Some(format!("W/\"{state}\""))
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one answer, each used once")]
    fn stream(
        &self,
        target: &Target,
        queried: &Queried,
        mut query: Query<'a>,
        view: &View,
        place: Place,
        types: &Types<'a>,
    ) -> Result<Response, Error> {
        let format = self.data_format()?;
        let tag = self.tag_of_set(queried, &place);
        self.conditional(tag.clone(), || self.stream_now(format, tag, target, queried, &mut query, view, &place, types))
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one answer, each used once")]
    fn stream_now(
        &self,
        format: DataFormat,
        tag: Option<String>,
        target: &Target,
        queried: &Queried,
        query: &mut Query<'a>,
        view: &View,
        place: &Place,
        types: &Types<'a>,
    ) -> Result<Response, Error> {
        let rows_max = self.rows_of_page(format);
        let style = |format| Style { root: self.root, negotiated: self.negotiated, format };
        let (form, content_type) = match format {
            DataFormat::Json(format) => {
                let style = style(format);
                let content_type = style.format.content_type(style.negotiated.short_names);
                (Form::Json(self.writer(style, types), format), content_type)
            }
            DataFormat::Ndjson(format) => {
                (Form::Ndjson(self.writer(style(format), types)), "application/x-ndjson;charset=utf-8".to_owned())
            }
            DataFormat::Csv(cell_text) => {
                (Form::Csv(Table::new(view, types, cell_text)), "text/csv;charset=utf-8;header=present".to_owned())
            }
        };
        let head = success(self.negotiated, content_type, Vec::new());
        let head = head.applied(&self.applied_here(rows_max, place, view));
        // The link to the next page stands in the head of formats without a place for it: then the whole page comes first.
        let outlet = match format {
            DataFormat::Json(_) => self.outlet,
            _ => self.outlet.filter(|_| rows_max == usize::MAX),
        };
        let mut body = Body { out: Vec::new(), outlet, head, tag, begun: false };
        let filter = self.later_filter(queried, query, place);
        let flat = match &form {
            Form::Json(writer, _) | Form::Ndjson(writer) if filter.is_none() && target.tail == Tail::None => {
                Flat::of(query, view, writer, types)
            }
            _ => None,
        };
        let ty = type_of(query, self.service);
        let chunk = chunk_rows(query, flat.is_some());
        // A row is enough for the head.
        let is_head = self.request.method == "HEAD";
        if is_head {
            self.work.leave_rest_out();
        }
        let asked_max = if is_head { 1 } else { rows_max };
        let mut left = view.top.map_or(asked_max, |top| asked_max.min(usize::try_from(top).unwrap_or(usize::MAX)));
        let (mut given, mut first, is_lines) = (0_u64, true, matches!(form, Form::Ndjson(_)));
        let next = loop {
            query.page_max_rows = chunk.min(left);
            let before = given;
            if flat.is_some() && std::mem::take(&mut first) {
                let count = if query.count { Some(self.service.count(query)?) } else { None };
                query.count = false;
                self.begin(&form, target, queried, view, count, place, types, &mut body.out);
            }
            let handed_over = match &flat {
                Some(flat) => flat.write_each(self.service, query, is_lines, &mut given, &mut body.out)?,
                None => None,
            };
            let next = if let Some(handed_over) = handed_over {
                handed_over.next_token
            } else {
                let page = self.service.read(query)?;
                if std::mem::take(&mut first) {
                    self.begin(&form, target, queried, view, page.count, place, types, &mut body.out);
                }
                for row in page.rows {
                    if let Some(flat) = &flat {
                        flat.write_one(&row, is_lines, &mut given, &mut body.out);
                        body.pour()?;
                        continue;
                    }
                    types.add_row();
                    let row = self.computed(record(query, ty, queried.set, row), view, types);
                    let kept = filter
                        .as_ref()
                        .is_none_or(|filter| self.evaluator(types).holds(filter, &mut Slots::of(row.clone())));
                    self.write_row(&form, target, view, &row, given, kept, &mut body.out)?;
                    types.check_rows()?;
                    given += 1;
                    body.pour()?;
                }
                page.next_token
            };
            left = left.saturating_sub(usize::try_from(given - before).unwrap_or(left));
            (query.skip, query.count) = (None, false);
            query.page_token.clone_from(&next);
            if next.is_none() || left == 0 {
                break next;
            }
            // What is whole by now leaves as one; only what goes on leaves in pieces.
            if flat.is_some() {
                body.pour()?;
            }
        };
        let top_left = view.top.map(|top| top.saturating_sub(given));
        let next = next.filter(|_| top_left != Some(0)).map(|token| self.next_link(place, token, top_left));
        if let Form::Json(writer, _) = &form {
            self.end(writer, next.as_deref(), place, &mut body.out);
        }
        // Of a head nobody knows where its page ends.
        let link = next.filter(|_| !matches!(form, Form::Json(..)) && !is_head);
        body.head.body = body.out;
        Ok(body.head.with("link", link.map(|next| format!("<{next}>; rel=\"next\""))))
    }

    /// Rows of a page in a format. What has no place for a link to the next page goes as a whole, unless the client asks for
    /// pages.
    fn rows_of_page(&self, format: DataFormat) -> usize {
        let most = self.service.page_max_rows().max(1);
        let own = self.service.page_rows().clamp(1, most);
        match (format, self.preferences.page) {
            (DataFormat::Json(_), Some((_, rows))) if self.outlet.is_some() => rows.min(most),
            (DataFormat::Json(_), Some((_, rows))) => rows.min(own),
            (DataFormat::Json(_), None) => own,
            (_, Some((_, rows))) => rows.min(PAGE_MAX_ROWS),
            (_, None) if self.outlet.is_some() => usize::MAX,
            (_, None) => own,
        }
    }

    fn applied_here(&self, rows_max: usize, place: &Place, view: &View) -> Vec<String> {
        let mut applied = Vec::new();
        if let Some((name, _)) = self.preferences.page {
            applied.push(format!("{name}={rows_max}"));
        }
        if self.preferences.omit_nulls {
            applied.push("omit-values=nulls".into());
        }
        if place.until.is_some() && view.apply.is_empty() {
            applied.extend(self.preferences.track_changes.map(str::to_owned));
        }
        applied
    }

    /// Where rows change, one that no longer fits the filter is to be told as gone: the filter then looks at rows of a
    /// delta only when they are here.
    fn later_filter(&self, queried: &Queried, query: &mut Query<'a>, place: &Place) -> Option<TypedExpr> {
        let set = &self.service.model().entity_sets()[queried.set];
        if place.since.is_none() || set.append_only {
            return None;
        }
        query.columns = (0..query.entity_type.properties.len()).collect();
        query.filter.take()
    }

    fn computed(&self, row: Value, view: &View, types: &Types<'_>) -> Value {
        let evaluator = self.evaluator(types);
        view.compute.iter().fold(row, |row, stage| stage.apply(&row, &evaluator, &mut Slots::of(row.clone())))
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one answer, each used once")]
    fn begin(
        &self,
        form: &Form<'_, '_>,
        target: &Target,
        queried: &Queried,
        view: &View,
        count: Option<u64>,
        place: &Place,
        types: &Types<'_>,
        out: &mut Vec<u8>,
    ) {
        let (writer, format) = match form {
            Form::Json(writer, format) => (writer, format),
            Form::Csv(table) => return table.head(out),
            Form::Ndjson(_) => return,
        };
        let style = writer.style;
        let mut object = super::write::Object::begin(out);
        if format.metadata != Metadata::None {
            let context = if place.since.is_some() {
                let home = crate::Home::Set(queried.set);
                format!("{}/$delta", context::of_entities(style, types, home, view.row, &view.shape, false))
            } else if target.tail == Tail::Ref {
                format!("{}$metadata#Collection($ref)", self.root)
            } else {
                context::of_entities(style, types, crate::Home::Set(queried.set), view.row, &view.shape, false)
            };
            object.text(&style.control("context"), &context);
        }
        if let Some(count) = count {
            let out = object.name(&style.control("count"));
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let _ = json::write_value(out, &Value::Int(count), style.format.ieee754_compatible);
        }
        object.name("value").push(b'[');
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one row, each used once")]
    fn write_row(
        &self,
        form: &Form<'_, '_>,
        target: &Target,
        view: &View,
        row: &Value,
        given: u64,
        kept: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match form {
            Form::Csv(table) if kept => table.row(row, out),
            Form::Csv(_) => {}
            Form::Json(writer, _) | Form::Ndjson(writer) => {
                let lines = matches!(form, Form::Ndjson(_));
                if given > 0 && !lines {
                    out.push(b',');
                }
                writer.entities.set(0);
                if kept {
                    self.json_row(writer, target, view, row, out)?;
                } else {
                    let set = target.home_set().map_or("", |set| &self.service.model().entity_sets()[set].name);
                    writer.removed(out, row, set);
                }
                if lines {
                    out.push(b'\n');
                }
            }
        }
        Ok(())
    }

    fn next_link(&self, place: &Place, token: String, top_left: Option<u64>) -> String {
        let place = Place { token: Some(token), ..place.clone() };
        let mut option = format!("$skiptoken={}", encode(&place.print()));
        if let Some(left) = top_left {
            option.push_str(&format!("&$top={left}"));
        }
        self.link(&option, &["skiptoken", "deltatoken", "top", "skip"])
    }

    fn end(&self, writer: &Writer<'_>, next: Option<&str>, place: &Place, out: &mut Vec<u8>) {
        out.push(b']');
        let style = writer.style;
        let mut object = super::write::Object::within(out);
        if let Some(next) = next {
            object.text(&style.control("nextLink"), next);
        } else if let Some(until) = &place.until {
            let without = ["skiptoken", "deltatoken", "top", "skip", "count"];
            let link = self.link(&format!("$deltatoken={}", encode(until)), &without);
            object.text(&style.control("deltaLink"), &link);
        }
        object.end();
    }
}

/// Makes a sequence of nothing but filters, searches and computed properties a part of the other options.
fn as_plain(view: &mut View) -> bool {
    let beginning = Beginning::of(&view.apply);
    let searches = beginning.searches.len() + usize::from(view.search.is_some());
    if !beginning.rest.is_empty() || searches > 1 {
        return false;
    }
    let (filters, stages) = (beginning.filters, beginning.stages);
    let search = beginning.searches.into_iter().next();
    for filter in filters {
        view.filter = Some(match view.filter.take() {
            None => filter,
            Some(other) => TypedExpr::both(filter, other),
        });
    }
    view.compute.splice(0..0, stages);
    view.search = view.search.take().or(search);
    view.apply.clear();
    true
}
