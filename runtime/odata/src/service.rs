//! What a host implements and what it is asked: a parsed, typed query, answered by a page of rows.

use crate::eval::Graph;
use crate::limits::PAGE_MAX_ROWS;
use crate::value::Record;
use crate::{EntitySet, EntityType, Error, Model, TypedExpr, Value};

/// One row: a value for each column of [`Query::columns`], in that order, each fitting its property's type.
pub type Row = Vec<Value>;

/// The data behind a model. Calls may block; a host with an async server runs [`crate::handle()`] on a blocking thread.
pub trait Service: Send + Sync {
    /// The model; the same for the life of the service.
    fn model(&self) -> &Model;

    /// Most rows of a page, at least 1. A client can only lower it (`Prefer: maxpagesize`).
    fn page_max_rows(&self) -> usize {
        PAGE_MAX_ROWS
    }

    /// The rows in memory, of a service that has them there: every request is then answered by this crate alone, and
    /// [`Service::read`] and [`Service::count`] are not called.
    fn store(&self) -> Option<&dyn Store> {
        None
    }

    /// Reads one page of a set, or the one entity of a key: then no row means that there is none.
    ///
    /// # Errors
    /// Any [`Error`]; it becomes the answer. For a page token that is not one: [`Error::invalid`] of `$skiptoken`.
    fn read(&self, query: &Query<'_>) -> Result<Page, Error>;

    /// Counts what [`Query::filter`] lets through, whatever `top`, `skip` and `page_token` say.
    ///
    /// # Errors
    /// Any [`Error`]; it becomes the answer.
    fn count(&self, query: &Query<'_>) -> Result<u64, Error>;
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
}

impl<'m> Query<'m> {
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
