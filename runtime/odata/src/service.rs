//! What a host implements and what it is asked: a parsed, typed query, answered by a page of rows.

use crate::apply::Method;
use crate::eval::Graph;
use crate::limits::PAGE_MAX_ROWS;
use crate::model::Operation;
use crate::search::Wanted;
use crate::value::Record;
use crate::{EntitySet, EntityType, Error, Model, TypedExpr, Value};
use std::ops::ControlFlow;

/// One row: a value for each column of [`Query::columns`], in that order, each fitting its property's type.
pub type Row = Vec<Value>;

/// The data behind a model. Calls may block; a host with an async server runs [`crate::handle()`] on a blocking thread.
pub trait Service: Send + Sync {
    /// The model; the same for the life of the service.
    fn model(&self) -> &Model;

    /// Most rows of a page, at least 1, whatever a client prefers (`Prefer: maxpagesize`).
    fn page_max_rows(&self) -> usize {
        PAGE_MAX_ROWS
    }

    /// Rows of a page where the client says nothing.
    fn page_rows(&self) -> usize {
        self.page_max_rows()
    }

    /// The rows in memory, of a service that has them there: every request is then answered by this crate alone, and
    /// [`Service::read`] and [`Service::count`] are called only for sets of which [`Service::is_queried`] says so.
    fn store(&self) -> Option<&dyn Store> {
        None
    }

    /// Whether a set, by its place in the model, is not in the [`Store`]: its rows are asked for, page by page. Queries of
    /// it may hold any expression over its rows.
    fn is_queried(&self, _set: usize) -> bool {
        false
    }

    /// The rows of groups, computed where the rows are; none: this crate is to compute them from the rows.
    ///
    /// # Errors
    /// Any [`Error`]; it becomes the answer. [`Error::Limit`] for more groups than `groups_max`.
    fn aggregate(
        &self,
        _query: &Query<'_>,
        _grouping: &Grouping<'_>,
        _groups_max: usize,
    ) -> Result<Option<Vec<Row>>, Error> {
        Ok(None)
    }

    /// A text that names the state a set is in now and changes whenever a row of it does: letters, digits, `-` and `_`. None
    /// where nobody knows. Of a set that tracks changes it is what delta links hold.
    fn state(&self, _set: usize) -> Option<String> {
        None
    }

    /// Does what an operation of [`Model::operations`] is for.
    ///
    /// # Errors
    /// Any [`Error`]; it becomes the answer.
    fn invoke(&self, invocation: &Invocation<'_>) -> Result<Value, Error> {
        let name = &invocation.operation.name;
        Err(Error::unsupported(name.as_str(), "this service does not carry it out"))
    }

    /// Told of each request of a batch once it is answered, by its method, its path below the root and the answer's status: for a
    /// host that keeps a record of who did what.
    fn carried(&self, _method: &str, _path_below_root: &str, _status: u16) {}

    /// Reads one page of a set, or the one entity of a key: then no row means that there is none.
    ///
    /// # Errors
    /// Any [`Error`]; it becomes the answer. For a page token that is not one: [`Error::invalid`] of `$skiptoken`.
    fn read(&self, query: &Query<'_>) -> Result<Page, Error>;

    /// Hands over the rows of the page that [`Service::read`] would give, one by one and without gathering them, until there
    /// is none left or `take` breaks: then the page ends with that row. [`Query::count`] is never set. None: this is not how rows
    /// of this set come, and [`Service::read`] is to be asked.
    ///
    /// # Errors
    /// As [`Service::read`]; rows may have been handed over before.
    fn each(&self, _query: &Query<'_>, _take: Take<'_>) -> Result<Option<Given>, Error> {
        Ok(None)
    }

    /// Counts what [`Query::filter`] lets through, whatever `top`, `skip` and `page_token` say.
    ///
    /// # Errors
    /// Any [`Error`]; it becomes the answer.
    fn count(&self, query: &Query<'_>) -> Result<u64, Error>;
}

/// Takes a row, whose values it may keep, and says whether it wants more.
pub type Take<'t> = &'t mut dyn FnMut(&mut Row) -> ControlFlow<()>;

/// What is left to say of a page whose rows were handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// As [`Page::next_token`].
    pub next_token: Option<String>,
}

/// Bytes with their media type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media {
    /// Such as `image/png`.
    pub media_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// All data of a model in memory.
pub trait Store: Graph {
    /// The bytes that a media entity is.
    fn media(&self, entity: &Record) -> Option<Media>;

    /// The bytes of a stream property, by its position.
    fn stream(&self, entity: &Record, property: usize) -> Option<Media>;

    /// Does what an action of [`Model::actions`] is for.
    ///
    /// # Errors
    /// Any [`Error`]; it becomes the answer.
    fn act(&self, action: usize) -> Result<(), Error>;
}

/// A call of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// The entity it is called on; none for one that is not bound.
    pub entity: Option<&'a Record>,
    /// A value for each of [`Operation::parameters`], null where none was given.
    pub arguments: &'a [Value],
}

/// What is to be made of the rows of a [`Query`]: groups, and values computed of each.
#[derive(Clone, Copy, Debug)]
pub struct Grouping<'a> {
    /// What the rows of a group have in common; nothing: all rows are one group.
    pub keys: &'a [&'a TypedExpr],
    /// The values computed of a group, after the keys: how, and of what of each row; none for the row itself.
    pub values: &'a [(Method, Option<&'a TypedExpr>)],
}

/// One item of `$orderby`. Nulls come first when ascending, last when descending (Part 2 §5.1.4).
#[derive(Clone, PartialEq, Debug)]
pub struct OrderBy {
    /// What to sort by.
    pub expression: TypedExpr,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// What a client wants of one entity set, typed against the model.
#[derive(Clone, PartialEq, Debug)]
pub struct Query<'m> {
    /// The set.
    pub set: &'m EntitySet,
    /// Its type.
    pub entity_type: &'m EntityType,
    /// The key of the one entity asked for: positions into the type's properties with their values, whole and in the
    /// key's order. None: the whole set.
    pub key: Option<Vec<(usize, Value)>>,
    /// Which rows; a Boolean expression. A row whose value is null is left out like one whose value is false.
    pub filter: Option<TypedExpr>,
    /// Which rows, by their texts.
    pub search: Option<Wanted>,
    /// The properties the client named in `$select`, as positions into the type's properties; none: all.
    pub select: Option<Vec<usize>>,
    /// The properties each row must have, as rising positions into the type's properties: the selected ones and the key.
    pub columns: Vec<usize>,
    /// The client's order; the service adds the key so that the order is total.
    pub orderby: Vec<OrderBy>,
    /// Most rows of the whole result. Already taken into account in `page_max_rows` and in the next link.
    pub top: Option<u64>,
    /// Rows to leave out before the first; none on later pages, whose token already carries it.
    pub skip: Option<u64>,
    /// Whether [`Page::count`] is asked for.
    pub count: bool,
    /// [`Page::next_token`] of the page before.
    pub page_token: Option<String>,
    /// Most rows of this page: the least of the service's, the client's and what `top` leaves. 0 only for `$top=0`.
    pub page_max_rows: usize,
    /// Only rows that have changed since this [`Service::state`].
    ///
    /// A service answers one that it can no longer follow with [`Error::Gone`].
    pub since: Option<String>,
    /// No rows that have changed after this [`Service::state`].
    pub until: Option<String>,
    /// Query options of the host's own: names without `$`, as they came.
    pub host_options: Vec<(String, String)>,
}

impl<'m> Query<'m> {
    /// A query for all rows of a set, in pages of one row; none for a set that the model does not have.
    #[must_use]
    pub fn all(model: &'m Model, set: usize) -> Option<Self> {
        let set = model.entity_sets().get(set)?;
        let (_, entity_type) = model.set(&set.name)?;
        Some(Self {
            set,
            entity_type,
            key: None,
            filter: None,
            search: None,
            select: None,
            columns: (0..entity_type.properties.len()).collect(),
            orderby: Vec::new(),
            top: None,
            skip: None,
            count: false,
            page_token: None,
            page_max_rows: 1,
            since: None,
            until: None,
            host_options: Vec::new(),
        })
    }

    /// The same with one more condition.
    pub fn restrict(&mut self, condition: TypedExpr) {
        self.filter = Some(match self.filter.take() {
            None => condition,
            Some(filter) => TypedExpr::both(filter, condition),
        });
    }

    /// The value of a query option of the host's own; names in any case.
    #[must_use]
    pub fn host_option(&self, name: &str) -> Option<&str> {
        self.host_options.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The names of [`Query::columns`].
    pub fn column_names(&self) -> impl Iterator<Item = &'m str> + '_ {
        self.columns.iter().map(|column| self.entity_type.properties[*column].name.as_str())
    }
}

/// Rows of a set in the asked order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// At most [`Query::page_max_rows`] rows.
    pub rows: Vec<Row>,
    /// How many rows the filter lets through in all; only when [`Query::count`] is set.
    pub count: Option<u64>,
    /// Where the next page begins, if there is one: any text, given back as [`Query::page_token`]. It should name the
    /// last row by its order and key, so that pages stay whole while rows arrive.
    pub next_token: Option<String>,
}
