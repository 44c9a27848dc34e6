//! A request's URL, typed against the model: what is to be done before anything is done.

use crate::expr::{self, Expr, ExprKind, ParseError};
use crate::limits::{Limits, PAGE_TOKEN_MAX_BYTES, URL_MAX_BYTES};
use crate::literal::Literal;
use crate::model::Type;
use crate::options::{self, Options};
use crate::select::{SelectItem, parse_select};
use crate::typed::{self, Context, Mismatch, Types};
use crate::url::{self, Key, RawOption, Resource};
use crate::{EntitySet, EntityType, Error, Model, OrderBy, Query, Value};
use std::collections::BTreeMap;

/// What a URL asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Plan<'m> {
    /// The service document.
    ServiceDocument,
    /// `$metadata`
    Metadata,
    /// Rows of a set, or one entity.
    Read {
        /// What to read.
        query: Query<'m>,
        /// The options that the next link repeats, as name and decoded value.
        repeated: Vec<(String, String)>,
    },
    /// `Set/$count`
    Count(Query<'m>),
}

/// Bounds and circumstances of planning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Circumstances {
    /// Most rows of a page: the service's, lowered by the client's preference.
    pub page_max_rows: usize,
    /// What `now()` gives, nanoseconds since the epoch.
    pub now_ns: i64,
    /// Bounds on expressions.
    pub limits: Limits,
}

/// Plans a request; gives the plan and the value of `$format`.
///
/// # Errors
/// Any of the 4xx and 501 of [`Error`].
pub fn plan<'m>(
    model: &'m Model,
    path: &str,
    query: &str,
    circumstances: Circumstances,
) -> Result<(Plan<'m>, Option<String>), Error> {
    if path.len() + query.len() > URL_MAX_BYTES {
        return Err(Error::Limit { target: "url".into(), limit: "url bytes", max: URL_MAX_BYTES });
    }
    let resource = url::parse_path(path)?;
    let mut options = Options::sort(url::parse_query(query)?)?;
    let format = options.take("format").map(|option| option.value);
    let plan = match resource {
        Resource::Root => options.nothing_left("the service document").map(|()| Plan::ServiceDocument)?,
        Resource::Metadata => options.nothing_left("$metadata").map(|()| Plan::Metadata)?,
        Resource::Set { name, key, count } => {
            let (set, entity_type) = find_set(model, &name)?;
            let (aliases, repeated) = parse_aliases(&options, circumstances.limits)?;
            let types = Types::new(model);
            let planner = Planner { set, entity_type, types: &types, aliases: &aliases, circumstances, repeated };
            planner.set(options, key, count)?
        }
    };
    Ok((plan, format))
}

pub(crate) fn find_set<'m>(model: &'m Model, name: &str) -> Result<(&'m EntitySet, &'m EntityType), Error> {
    model.set(name).ok_or_else(|| {
        let near = crate::model::nearest(name, model.entity_sets().iter().map(|set| set.name.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Error::NotFound(format!("there is no entity set `{name}`{hint}"))
    })
}

/// The parameter aliases, and as name and text for the next link.
#[allow(clippy::type_complexity, reason = "a map and a list, used once")]
pub(crate) fn parse_aliases(
    options: &Options,
    limits: Limits,
) -> Result<(BTreeMap<String, Expr>, Vec<(String, String)>), Error> {
    let (mut aliases, mut texts) = (BTreeMap::new(), Vec::new());
    for (name, option) in &options.aliases {
        let (expression, text) = parse_option(option, name, |text| expr::parse(text, limits))?;
        aliases.insert(name.clone(), expression);
        texts.push((name.clone(), text));
    }
    Ok((aliases, texts))
}

/// Parses an option's value; if that fails and the client wrote spaces as `+`, once more with spaces. A `+` between two
/// operands is never right, so that a text that parses as it stands is meant as it stands. Gives the text that parsed.
pub(crate) fn parse_option<T>(
    option: &RawOption,
    target: &str,
    parse: impl Fn(&str) -> Result<T, ParseError>,
) -> Result<(T, String), Error> {
    let refused = match parse(&option.value) {
        Ok(parsed) => return Ok((parsed, option.value.clone())),
        Err(refused) => refused,
    };
    if let Some(text) = &option.form_value
        && let Ok(parsed) = parse(text)
    {
        return Ok((parsed, text.clone()));
    }
    let at = characters(&option.value, refused.at);
    Err(Error::Syntax { target: target.to_owned(), at, message: refused.message })
}

/// Bytes to characters.
pub(crate) fn characters(text: &str, bytes: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < bytes).count()
}

pub(crate) fn mismatch(target: &str, text: &str, found: Mismatch) -> Error {
    match found {
        Mismatch::Wrong { at, message } => Error::Type { target: target.to_owned(), at: characters(text, at), message },
        Mismatch::Unsupported { construct, message } => {
            Error::Unsupported { target: format!("{construct} in {target}"), message }
        }
    }
}

struct Planner<'m, 'a> {
    set: &'m EntitySet,
    entity_type: &'m EntityType,
    types: &'a Types<'m>,
    aliases: &'a BTreeMap<String, Expr>,
    circumstances: Circumstances,
    repeated: Vec<(String, String)>,
}

impl<'m> Planner<'m, '_> {
    fn context(&self) -> Context<'_> {
        Context {
            types: self.types,
            this: self.types.model().type_place(&self.entity_type.name).map(Type::structured),
            it: None,
            aliases: self.aliases,
            now_ns: self.circumstances.now_ns,
            through_collections: false,
        }
    }

    fn set(mut self, mut options: Options, key: Option<Key>, count: bool) -> Result<Plan<'m>, Error> {
        let mut query = self.empty_query();
        if let Some(key) = key {
            query.key = Some(self.key(&key)?);
            self.select(&mut query, options.take("select"))?;
            options.nothing_left("a single entity")?;
            return Ok(Plan::Read { query, repeated: self.repeated });
        }
        if let Some(option) = options.take("filter") {
            query.filter = Some(self.filter(&option)?);
        }
        if count {
            // The standard has these without effect on a count.
            for ignored in ["top", "skip", "orderby", "select", "count", "skiptoken"] {
                options.take(ignored);
            }
            return Ok(Plan::Count(query));
        }
        self.select(&mut query, options.take("select"))?;
        if let Some(option) = options.take("orderby") {
            query.orderby = self.orderby(&option)?;
        }
        self.paging(&mut query, &mut options)?;
        options.nothing_left("an entity set")?;
        Ok(Plan::Read { query, repeated: self.repeated })
    }

    fn empty_query(&self) -> Query<'m> {
        let model = self.types.model();
        let set = model.entity_sets().iter().position(|set| set.name == self.set.name).unwrap_or_default();
        let mut query = Query::all(model, set).expect("the set was found in the model");
        query.page_max_rows = self.circumstances.page_max_rows;
        query
    }

    fn filter(&mut self, option: &RawOption) -> Result<crate::TypedExpr, Error> {
        let limits = self.circumstances.limits;
        let (expression, text) = parse_option(option, "$filter", |text| expr::parse(text, limits))?;
        let typed =
            typed::check_filter(&expression, self.context()).map_err(|found| mismatch("$filter", &text, found))?;
        self.repeated.push(("$filter".into(), text));
        Ok(typed)
    }

    fn orderby(&mut self, option: &RawOption) -> Result<Vec<OrderBy>, Error> {
        let limits = self.circumstances.limits;
        let (items, text) = parse_option(option, "$orderby", |text| expr::parse_order(text, limits))?;
        let mut orderby = Vec::with_capacity(items.len());
        for item in items {
            let expression = typed::check(&item.expression, self.context());
            let expression = expression.map_err(|found| mismatch("$orderby", &text, found))?;
            orderby.push(OrderBy { expression, descending: item.descending });
        }
        self.repeated.push(("$orderby".into(), text));
        Ok(orderby)
    }

    fn select(&mut self, query: &mut Query<'m>, option: Option<RawOption>) -> Result<(), Error> {
        let Some(option) = option else { return Ok(()) };
        let (items, text) = parse_option(&option, "$select", parse_select)?;
        let selected = selected(self.entity_type, &items, &text)?;
        if let Some(positions) = &selected {
            let keys: Vec<usize> = self.entity_type.key_positions().collect();
            query.columns.retain(|position| positions.contains(position) || keys.contains(position));
        }
        query.select = selected;
        self.repeated.push(("$select".into(), text));
        Ok(())
    }

    fn paging(&mut self, query: &mut Query<'m>, options: &mut Options) -> Result<(), Error> {
        if let Some(option) = options.take("count") {
            query.count = options::boolean(&option, "$count")?;
            self.repeated.push(("$count".into(), query.count.to_string()));
        }
        if let Some(option) = options.take("skip") {
            query.skip = Some(options::whole_number(&option, "$skip")?);
        }
        if let Some(option) = options.take("top") {
            let top = options::whole_number(&option, "$top")?;
            query.top = Some(top);
            query.page_max_rows = query.page_max_rows.min(usize::try_from(top).unwrap_or(usize::MAX));
        }
        if let Some(option) = options.take("skiptoken") {
            if option.value.len() > PAGE_TOKEN_MAX_BYTES {
                let limit = "page token bytes";
                return Err(Error::Limit { target: "$skiptoken".into(), limit, max: PAGE_TOKEN_MAX_BYTES });
            }
            query.page_token = Some(option.value);
            // The token already stands behind the rows that were skipped.
            query.skip = None;
        }
        Ok(())
    }

    fn key(&self, key: &Key) -> Result<Vec<(usize, Value)>, Error> {
        match key {
            Key::Parentheses(text) => self.key_in_parentheses(text),
            Key::Segment(text) => self.key_segment(text),
        }
    }

    fn key_in_parentheses(&self, text: &str) -> Result<Vec<(usize, Value)>, Error> {
        let names = &self.entity_type.key;
        let refused = |parse: ParseError| Error::Syntax {
            target: "key".into(),
            at: characters(text, parse.at),
            message: parse.message,
        };
        let arguments = expr::parse_key(text, self.circumstances.limits).map_err(refused)?;
        let expected = || Error::invalid("key", format!("`{}(…)` takes {}", self.set.name, key_form(names)));
        if arguments.len() != names.len() {
            return Err(expected());
        }
        let mut key = Vec::with_capacity(names.len());
        for (name, position) in names.iter().zip(self.entity_type.key_positions()) {
            let mut found = arguments.iter().filter(|argument| match &argument.name {
                Some(given) => given == name,
                None => names.len() == 1,
            });
            let argument = found.next().ok_or_else(expected)?;
            let ty = self.entity_type.properties[position].ty;
            let value = typed::constant(&argument.value, ty, self.context());
            key.push((position, value.map_err(|found| mismatch("key", text, found))?));
        }
        Ok(key)
    }

    /// A key as a segment is written without quotes: a text is meant as it stands, anything else as a literal.
    fn key_segment(&self, text: &str) -> Result<Vec<(usize, Value)>, Error> {
        let mut positions = self.entity_type.key_positions();
        let (Some(position), None) = (positions.next(), positions.next()) else {
            let form = key_form(&self.entity_type.key);
            return Err(Error::invalid("key", format!("write this key as `{}({form})`", self.set.name)));
        };
        let ty = self.entity_type.properties[position].ty;
        let text_literal = Expr { kind: ExprKind::Literal(Literal::String(text.to_owned())), at: 0 };
        let value = typed::constant(&text_literal, ty, self.context()).or_else(|refused| {
            let parsed = expr::parse(text, self.circumstances.limits).map_err(|_| refused)?;
            typed::constant(&parsed, ty, self.context())
        });
        Ok(vec![(position, value.map_err(|found| mismatch("key", text, found))?)])
    }
}

fn key_form(names: &[String]) -> String {
    match names {
        [only] => format!("one value or {only}=…"),
        several => several.iter().map(|name| format!("{name}=…")).collect::<Vec<_>>().join(","),
    }
}

/// The properties of `$select`, in the type's order; none for all.
fn selected(entity_type: &EntityType, items: &[SelectItem], text: &str) -> Result<Option<Vec<usize>>, Error> {
    let mut positions = std::collections::BTreeSet::new();
    let mut all = false;
    for item in items {
        match item.property() {
            Some(name) => match entity_type.position(name) {
                Some(position) => {
                    positions.insert(position);
                }
                None => return Err(unknown_property(entity_type, name, characters(text, item.at))),
            },
            None if item.path == ["*"] && item.parentheses.is_none() => all = true,
            None => {
                let item = item.path.join("/");
                return Err(Error::unsupported(format!("`{item}` in $select"), "name properties of the entity itself"));
            }
        }
    }
    Ok((!all).then(|| positions.into_iter().collect()))
}

fn unknown_property(entity_type: &EntityType, name: &str, at: usize) -> Error {
    let near = entity_type.near_name(name).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let message = format!("`{}` has no property `{name}`{near}", entity_type.name);
    Error::Type { target: "$select".into(), at, message }
}
