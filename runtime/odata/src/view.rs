//! The query options, typed: which rows of a resource a client wants, in what order, and what of each.
//!
//! The same options stand in a URL and, between parentheses, in `$expand`; a [`View`] is either.

mod expand;
mod select;

use crate::apply::{self, Stage, Transformation};
use crate::expr::{self, Expr};
use crate::limits::{EXPAND_MAX_DEPTH, Limits, TREE_MAX_DEPTH};
use crate::model::{Base, Type};
use crate::options::{self, Options};
use crate::plan::{mismatch, parse_aliases, parse_option};
use crate::search::{self, Wanted};
use crate::typed::{self, Context, TypedExpr, Types};
use crate::url::RawOption;
use crate::{Error, OrderBy};
use std::collections::BTreeMap;

/// What a client wants of a resource.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    /// The type of a row, once `$apply` and `$compute` have done their work.
    pub row: Type,
    /// What `$apply` makes of the rows.
    pub apply: Vec<Transformation>,
    /// What `$compute` adds to each.
    pub compute: Vec<Stage>,
    /// Which rows.
    pub filter: Option<TypedExpr>,
    /// Which rows, by their texts.
    pub search: Option<Wanted>,
    /// Their order.
    pub orderby: Vec<OrderBy>,
    /// How many to leave out.
    pub skip: u64,
    /// How many to take.
    pub top: Option<u64>,
    /// Whether to say how many there are.
    pub count: bool,
    /// What of each row.
    pub shape: Shape,
}

/// What of a row a client wants.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Shape {
    /// The properties; none for all.
    pub select: Option<Select>,
    /// What navigation leads to, to be written in its place.
    pub expand: Vec<Expand>,
    /// What of the items of a collection, or what is computed of a complex value, where a client says so.
    pub inner: Option<Box<View>>,
}

/// The properties a client wants.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Select {
    /// Whether all structural properties.
    pub star: bool,
    /// Properties by name, each with what of it.
    pub items: Vec<(String, Shape)>,
    /// Those of [`Select::items`] that are wanted only of records of a derived type, with that type's place.
    pub narrowed: Vec<(String, usize)>,
    /// All operations of a schema, as `Namespace.*`.
    pub operations: Vec<String>,
}

impl Select {
    /// What is wanted of a property; none if it is not wanted.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&Shape> {
        self.items.iter().find(|(selected, _)| selected == name).map(|(_, shape)| shape)
    }

    /// The derived types whose records alone are wanted to have a property; none: those of all.
    pub fn only_of(&self, name: &str) -> impl Iterator<Item = usize> + '_ {
        let name = name.to_owned();
        self.narrowed.iter().filter(move |(selected, _)| *selected == name).map(|(_, place)| *place)
    }
}

/// What is written of the entities that navigation leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expanded {
    /// The entities.
    Entities,
    /// Their addresses.
    References,
    /// How many there are.
    Count,
    /// The bytes of a stream; it is no navigation property then, but a stream or `$value`.
    Stream,
    /// Entities that `$apply` has put into a property; they are there already.
    Inline,
}

/// A part of the way to a navigation property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// A complex property.
    Property(String),
    /// Only in records of a derived type.
    Cast(usize),
}

/// A navigation property to be written in its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Expand {
    /// The way to it within the row.
    pub way: Vec<Way>,
    /// Its name.
    pub name: String,
    /// What is written.
    pub what: Expanded,
    /// Only entities of this derived type.
    pub cast: Option<usize>,
    /// Which entities, in what order, and what of each.
    pub view: View,
    /// How often the same is done again below; 1 for not at all.
    pub levels: usize,
    /// The options between the parentheses that a link to the rest repeats, as name and text.
    pub repeated: Vec<(String, String)>,
}

impl Expand {
    /// The options of a link to what comes behind a page.
    #[must_use]
    pub fn link_options(&self, token: &str, top: Option<u64>) -> String {
        let top = top.map(|top| ("$top".to_owned(), top.to_string()));
        let token = ("$skiptoken".to_owned(), token.to_owned());
        self.link(top.into_iter().chain([token]))
    }

    /// The same where so many of the rows are behind the client and all are in memory.
    #[must_use]
    pub fn link_in_memory(&self, shown: usize) -> String {
        let skip = (self.view.skip > 0).then(|| ("$skip".to_owned(), self.view.skip.to_string()));
        let top = self.view.top.map(|top| ("$top".to_owned(), top.to_string()));
        let token = ("$skiptoken".to_owned(), format!("after-{shown}"));
        self.link(skip.into_iter().chain(top).chain([token]))
    }

    fn link(&self, more: impl Iterator<Item = (String, String)>) -> String {
        let all = self.repeated.iter().cloned().chain(more);
        all.map(|(name, value)| format!("{name}={}", crate::url::encode(&value))).collect::<Vec<_>>().join("&")
    }
}

impl View {
    /// Calls a function for every expression, those of what it expands included.
    pub fn walk<'e>(&'e self, each: &mut dyn FnMut(&'e TypedExpr)) {
        self.compute.iter().for_each(|stage| stage.value().walk(each));
        self.filter.iter().for_each(|filter| filter.walk(each));
        self.orderby.iter().for_each(|item| item.expression.walk(each));
        self.apply.iter().for_each(|transformation| transformation.walk(each));
        self.shape.walk(each);
    }
}

impl Shape {
    fn walk<'e>(&'e self, each: &mut dyn FnMut(&'e TypedExpr)) {
        self.expand.iter().for_each(|expand| expand.view.walk(each));
        self.inner.iter().for_each(|view| view.walk(each));
        self.select.iter().flat_map(|select| &select.items).for_each(|(_, shape)| shape.walk(each));
    }
}

/// Types options against the model.
pub struct Planner<'p, 'm> {
    /// The types of the request, to which `$compute` and `$apply` add.
    pub types: &'p mut Types<'m>,
    /// Parameter aliases.
    pub aliases: &'p BTreeMap<String, Expr>,
    /// What `now()` gives.
    pub now_ns: i64,
    /// The type of the rows of the resource path, below which others are expanded.
    pub it: Option<Type>,
    /// How deep in `$expand`.
    pub depth: usize,
}

impl Planner<'_, '_> {
    pub(crate) fn context(&self, this: Type, through_collections: bool) -> Context<'_> {
        let (aliases, now_ns) = (self.aliases, self.now_ns);
        Context { types: self.types, this: Some(this), it: self.it, aliases, now_ns, through_collections }
    }

    /// Takes the options of a resource: of a collection all, of a single value those that shape it.
    ///
    /// # Errors
    /// Any of the 4xx and 501 of [`Error`], for an option that does not go with the resource, too.
    pub fn view(&mut self, options: &mut Options, ty: Type) -> Result<View, Error> {
        let item = ty.item();
        let mut view = View {
            row: item,
            apply: Vec::new(),
            compute: Vec::new(),
            filter: None,
            search: None,
            orderby: Vec::new(),
            skip: 0,
            top: None,
            count: false,
            shape: Shape::default(),
        };
        if ty.collection
            && let Some(option) = options.take("apply")
        {
            check_nesting(&option, "$apply")?;
            (view.apply, view.row) = apply::plan(self, &option.value, item)?;
            view.shape.select = self.with_added(item, view.row);
        }
        if let Some(option) = options.take("compute") {
            self.compute(&option, &mut view)?;
        }
        if ty.collection {
            self.rows(options, &mut view)?;
        }
        if matches!(item.base, Base::Structured(_)) {
            self.shape(options, &mut view)?;
        }
        Ok(view)
    }

    /// Rows to which `$apply` has added properties are what they were and those: `(*,Tax)` in their context.
    fn with_added(&self, before: Type, after: Type) -> Option<Select> {
        let (before, after) = (before.structure()?, after.structure()?);
        if before == after || self.types.of_model(after) != Some(before) {
            return None;
        }
        let known = &self.types.structured(before).properties;
        let added = self.types.structured(after).properties.iter().filter(|property| !property.name.is_empty());
        let added = added.filter(|property| known.iter().all(|other| other.name != property.name));
        let items: Vec<(String, Shape)> = added.map(|property| (property.name.clone(), Shape::default())).collect();
        (!items.is_empty()).then(|| Select { star: true, items, ..Select::default() })
    }

    fn compute(&mut self, option: &RawOption, view: &mut View) -> Result<(), Error> {
        let (items, text) = parse_option(option, "$compute", |text| expr::parse_compute(text, Limits::default()))?;
        for (expression, name) in items {
            let typed = typed::check(&expression, self.context(view.row, false));
            let typed = typed.map_err(|found| mismatch("$compute", &text, found))?;
            let stage = Stage::make(self.types, view.row, &name, typed)?;
            view.row = stage.row(view.row);
            view.compute.push(stage);
        }
        Ok(())
    }

    fn rows(&mut self, options: &mut Options, view: &mut View) -> Result<(), Error> {
        if let Some(option) = options.take("filter") {
            let (parsed, text) = parse_option(&option, "$filter", |text| expr::parse(text, Limits::default()))?;
            let typed = typed::check_filter(&parsed, self.context(view.row, false));
            view.filter = Some(typed.map_err(|found| mismatch("$filter", &text, found))?);
        }
        if let Some(mut option) = options.take("search") {
            // Spaces around it are none of its own (Part 2 §5.1.8.1).
            option.value = option.value.trim().to_owned();
            option.form_value = option.form_value.map(|value| value.trim().to_owned());
            view.search = Some(parse_option(&option, "$search", search::parse)?.0);
        }
        if let Some(option) = options.take("orderby") {
            view.orderby = self.order(&option, "$orderby", view.row)?;
        }
        if let Some(option) = options.take("skip") {
            view.skip = options::whole_number(&option, "$skip")?;
        }
        if let Some(option) = options.take("top") {
            view.top = Some(options::whole_number(&option, "$top")?);
        }
        if let Some(option) = options.take("count") {
            view.count = options::boolean(&option, "$count")?;
        }
        Ok(())
    }

    pub(crate) fn order(&self, option: &RawOption, target: &str, row: Type) -> Result<Vec<OrderBy>, Error> {
        let (items, text) = parse_option(option, target, |text| expr::parse_order(text, Limits::default()))?;
        let mut order = Vec::with_capacity(items.len());
        for item in items {
            let typed = typed::check(&item.expression, self.context(row, false));
            let expression = typed.map_err(|found| mismatch(target, &text, found))?;
            let orderless = match expression.ty {
                Some(ty) => {
                    ty.collection
                        || ty.structure().is_some()
                        || ty.primitive().is_some_and(|ty| ty.is_geo() || ty == crate::PrimitiveType::Stream)
                }
                None => false,
            };
            if orderless {
                let message = format!("`{}` has no order to sort by", item.expression);
                return Err(Error::Type { target: target.into(), at: item.expression.at, message });
            }
            order.push(OrderBy { expression, descending: item.descending });
        }
        Ok(order)
    }

    fn shape(&mut self, options: &mut Options, view: &mut View) -> Result<(), Error> {
        let Some(place) = view.row.structure() else { return Ok(()) };
        if let Some(option) = options.take("select") {
            check_nesting(&option, "$select")?;
            view.shape.select = Some(self.select(&option, place)?);
        }
        if let Some(option) = options.take("expand") {
            if self.depth >= EXPAND_MAX_DEPTH {
                let limit = "expand depth";
                return Err(Error::Limit { target: "$expand".into(), limit, max: EXPAND_MAX_DEPTH });
            }
            check_nesting(&option, "$expand")?;
            view.shape.expand = self.expand(&option, place)?;
        }
        Ok(())
    }

    /// Takes the options between parentheses, or those of nothing between them.
    ///
    /// # Errors
    /// As [`Planner::view`].
    pub fn nested(&mut self, text: Option<&str>, ty: Type) -> Result<View, Error> {
        let mut options = text.map_or_else(|| Ok(Options::default()), Self::nested_options)?;
        let view = self.view(&mut options, ty)?;
        options.nothing_left("an expansion")?;
        Ok(view)
    }

    /// The options between parentheses, separated by semicolons.
    fn nested_options(text: &str) -> Result<Options, Error> {
        let mut raw = Vec::new();
        for (_, part) in crate::select::split_top(text, ';').into_iter().filter(|(_, part)| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                Error::invalid("$expand", format!("`option=value` is expected between parentheses, not `{part}`"))
            })?;
            raw.push(RawOption { name: name.trim().to_owned(), value: value.to_owned(), form_value: None });
        }
        if raw.len() > crate::limits::OPTIONS_MAX {
            let max = crate::limits::OPTIONS_MAX;
            return Err(Error::Limit { target: "$expand".into(), limit: "query options", max });
        }
        Options::sort_all(raw)
    }

    /// Takes the options between parentheses for rows below one of `row`, with the aliases that are given between them.
    fn nested_view(&mut self, options: &mut Options, ty: Type, row: Type) -> Result<View, Error> {
        let (own, _) = parse_aliases(options, Limits::default())?;
        let merged: BTreeMap<String, Expr>;
        let aliases = match own.is_empty() {
            true => self.aliases,
            false => {
                merged = self.aliases.clone().into_iter().chain(own).collect();
                &merged
            }
        };
        let (now_ns, it, depth) = (self.now_ns, self.it.or(Some(row)), self.depth + 1);
        Planner { types: self.types, aliases, now_ns, it, depth }.view(options, ty)
    }
}

/// Parentheses within parentheses are read by functions that call themselves: so many they may be.
fn check_nesting(option: &RawOption, target: &str) -> Result<(), Error> {
    if crate::select::nesting(&option.value) <= TREE_MAX_DEPTH {
        return Ok(());
    }
    Err(Error::Limit { target: target.into(), limit: "nesting", max: TREE_MAX_DEPTH })
}
