//! The service behind the model, for one request: what is in memory is looked up once, what is in the log is asked for by
//! SQL.

use super::model::{CONNECTIONS, DEAD_LETTERS, FAULTS, GAPS, LATEST_READINGS, POINTS, READINGS, ROUTES, model, parts};
use super::readings::{self, Table};
use super::wide::{self, WideSet};
use super::{Rights, actions, aggregate, lists};
use crate::app::App;
use crate::limits::{
    ODATA_LISTED_MAX, ODATA_PAGE_MAX_ROWS, ODATA_PAGE_ROWS, ODATA_QUERY_MAX, PAGE_MAX_BYTES, PAGE_MAX_ROWS,
};
use crate::problem::chain;
use bulkhead_config::Config;
use bulkhead_engine::Engine;
use bulkhead_log::{Catalogue, LetterItem, LogError, Query as Sql};
use bulkhead_model::PointId;
use bulkhead_odata::eval::{Evaluator, Graph, Slots};
use bulkhead_odata::memory::{entity_beyond, follow};
use bulkhead_odata::search::Wanted;
use bulkhead_odata::typed::Types;
use bulkhead_odata::{
    Error, Given, Grouping, Home, Invocation, Media, Model, Page, Query, Record, Row, Service, Store, Take, TypedExpr,
    Value, apply,
};
use bulkhead_sandbox::capability::Clock as _;
use parking_lot::Mutex;
use serde_json::Value as Json;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// What all OData requests share.
pub(crate) struct Face {
    pub(super) places: Arc<Semaphore>,
    shown: Mutex<Option<Shown>>,
}

/// A model, and what it was made from.
struct Shown {
    config: Arc<Config>,
    catalogue: Arc<Catalogue>,
    model: Arc<Model>,
    wide: Arc<Vec<WideSet>>,
}

impl Default for Face {
    fn default() -> Self {
        Self { places: super::places(), shown: Mutex::new(None) }
    }
}

impl Face {
    /// The model as the config and the points are now, with the wide sets in it.
    fn model(&self, engine: &Engine) -> Result<(Arc<Model>, Arc<Vec<WideSet>>), Error> {
        let (config, catalogue) = (engine.config(), engine.log().catalogue());
        let mut shown = self.shown.lock();
        let same = |shown: &&Shown| Arc::ptr_eq(&shown.config, &config) && Arc::ptr_eq(&shown.catalogue, &catalogue);
        if let Some(shown) = shown.as_ref().filter(same) {
            return Ok((Arc::clone(&shown.model), Arc::clone(&shown.wide)));
        }
        let mut parts = parts();
        let wide = Arc::new(wide::add_to(&mut parts, engine));
        let made = model(parts).map_err(|error| Error::Internal(format!("the model: {error}")))?;
        let model = Arc::new(made);
        *shown = Some(Shown { config, catalogue, model: Arc::clone(&model), wide: Arc::clone(&wide) });
        Ok((model, wide))
    }
}

/// Where rows are in the log.
enum Source<'s> {
    Table(Table),
    Wide(&'s WideSet),
}

/// A changing request that a batch carried.
#[derive(Debug)]
pub(super) struct CarriedRequest {
    pub(super) method: String,
    pub(super) path_below_root: String,
    pub(super) status: u16,
    pub(super) note: Option<Json>,
}

/// The gateway as an OData service, for one request. Its calls block.
pub(crate) struct GatewayService {
    pub(super) app: Arc<App>,
    pub(super) model: Arc<Model>,
    wide: Arc<Vec<WideSet>>,
    pub(super) rights: Rights,
    /// Rows in memory, by set, once they were asked for.
    rows: Vec<OnceLock<Value>>,
    /// The points that the filter of this request lets through, so that its pages need not look for them again.
    pub(super) points: Mutex<Option<readings::PointsOfFilter>>,
    /// What a lookup met that has no way to say so; the answer is then none.
    failure: Mutex<Option<Error>>,
    /// What a change has done, for the audit log.
    pub(super) note: Mutex<Option<Json>>,
    /// The changing requests of a batch so far, for the audit log.
    carried_requests: Mutex<Vec<CarriedRequest>>,
    /// What the last page of a wide set carries into the next.
    pub(super) carried: Mutex<Option<wide::Carried>>,
}

impl GatewayService {
    pub(crate) fn new(app: Arc<App>, rights: Rights) -> Result<Self, Error> {
        let (model, wide) = app.odata.model(&app.engine)?;
        let rows = model.entity_sets().iter().map(|_| OnceLock::new()).collect();
        Ok(Self {
            app,
            model,
            wide,
            rights,
            rows,
            points: Mutex::new(None),
            failure: Mutex::new(None),
            note: Mutex::new(None),
            carried_requests: Mutex::default(),
            carried: Mutex::new(None),
        })
    }

    fn fail(&self, error: Error) {
        self.failure.lock().get_or_insert(error);
    }

    /// What a lookup met while the request was answered: the answer is wrong then.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }

    /// The changing requests of the batch that was answered; at most as many as a batch may have.
    pub(super) fn take_carried(&self) -> Vec<CarriedRequest> {
        std::mem::take(&mut self.carried_requests.lock())
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.app.engine
    }

    /// Where the rows of a set are in the log, if they are.
    fn source(&self, set: &str) -> Option<Source<'_>> {
        match set {
            READINGS => Some(Source::Table(Table::Readings)),
            LATEST_READINGS => Some(Source::Table(Table::Latest)),
            name => self.wide.iter().find(|wide| wide.name == name).map(Source::Wide),
        }
    }

    fn source_of(&self, query: &Query<'_>) -> Result<Source<'_>, Error> {
        let name = &query.set.name;
        self.source(name).ok_or_else(|| Error::Internal(format!("the set {name} is not in the log")))
    }

    pub(super) fn sql(&self) -> Result<Sql, Error> {
        let mut sql = self.engine().log().query().map_err(explain)?;
        sql.set_time_limit(ODATA_QUERY_MAX);
        Ok(sql)
    }

    /// When a query that begins now has taken too long, by the monotonic clock.
    pub(super) fn until_ns(&self) -> u64 {
        let most = u64::try_from(ODATA_QUERY_MAX.as_nanos()).unwrap_or(u64::MAX);
        self.app.door.clock.monotonic_ns().saturating_add(most)
    }

    /// Whether a row of the log passes what SQL did not try. Each row has the bound on evaluation to itself, all together the time
    /// that a query has.
    pub(super) fn keeps<'f>(
        &self,
        record: Record,
        search: Option<&Wanted>,
        mut conditions: impl Iterator<Item = &'f TypedExpr>,
        until_ns: u64,
    ) -> Result<bool, Error> {
        if self.app.door.clock.monotonic_ns() > until_ns {
            let limit_ms = u64::try_from(ODATA_QUERY_MAX.as_millis()).unwrap_or(u64::MAX);
            return Err(explain(LogError::QueryTimeout { limit_ms }));
        }
        let types = Types::new(&self.model);
        let evaluator = Evaluator { types: &types, graph: self };
        let record = Value::Record(Arc::new(record));
        let found = search.is_none_or(|wanted| wanted.is_in(&apply::texts(&record, &evaluator)));
        let mut slots = Slots::of(record);
        let keeps = found && conditions.all(|condition| evaluator.holds(condition, &mut slots));
        types.check_rows()?;
        Ok(keeps)
    }

    /// The rows of a set in memory.
    fn listed(&self, name: &str) -> Result<Vec<lists::Values>, LogError> {
        let engine = self.engine();
        Ok(match name {
            CONNECTIONS => engine.connections().iter().map(lists::connection).collect(),
            POINTS => {
                let catalogue = engine.log().catalogue();
                catalogue.iter().map(|point| lists::point(point, &catalogue)).collect()
            }
            ROUTES => engine.routes().iter().map(lists::route).collect(),
            FAULTS => engine.connections().iter().flat_map(lists::faults).collect(),
            GAPS => engine.log().gaps(0, ODATA_LISTED_MAX)?.iter().map(lists::gap).collect(),
            DEAD_LETTERS => self.letters()?,
            _ => Vec::new(),
        })
    }

    /// The newest dead letters, the oldest of them first. They come in pieces, so that their payloads are never all in memory.
    fn letters(&self) -> Result<Vec<lists::Values>, LogError> {
        let (mut rows, mut before) = (Vec::new(), None);
        while rows.len() < ODATA_LISTED_MAX {
            let limit = PAGE_MAX_ROWS.min(ODATA_LISTED_MAX - rows.len());
            let letters = self.engine().log().dead_letters(None, before, limit, PAGE_MAX_BYTES)?;
            let Some(last) = letters.last() else { break };
            before = Some(last.id);
            rows.extend(letters.iter().map(lists::dead_letter));
        }
        rows.reverse();
        Ok(rows)
    }

    fn records(&self, set: usize) -> Value {
        let found = &self.model.entity_sets()[set];
        let Some(ty) = self.model.type_place(&found.entity_type) else { return Value::Null };
        let rows = self.listed(&found.name).unwrap_or_else(|error| {
            self.fail(explain(error));
            Vec::new()
        });
        let record = |values| Value::Record(Arc::new(Record { ty, home: Home::Set(set), values }));
        Value::Collection(Arc::new(rows.into_iter().map(record).collect()))
    }

    /// One point, without making a row of every other.
    fn point(&self, id: &Value, set: usize) -> Option<Value> {
        let Value::Int(id) = id else { return None };
        let catalogue = self.engine().log().catalogue();
        let point = catalogue.by_id(PointId(u32::try_from(*id).ok()?))?;
        let values = lists::point(point, &catalogue);
        let ty = self.model.type_place(&self.model.entity_sets()[set].entity_type)?;
        Some(Value::Record(Arc::new(Record { ty, home: Home::Set(set), values })))
    }
}

impl Graph for GatewayService {
    fn follow(&self, record: &Record, ty: usize, navigation: usize) -> Value {
        match entity_beyond(self, record, ty, navigation) {
            Ok(Some(entity)) => return entity,
            Ok(None) => {}
            Err(error) => {
                self.fail(error);
                return Value::Null;
            }
        }
        let here = &self.model.types()[ty];
        if let [way] = &here.navigation[navigation..=navigation]
            && let [(own, other)] = way.constraints.as_slice()
            && other == "Id"
            && way.target == "Point"
            && let (Some(position), Some(set)) = (here.position(own), self.model.set_of_type(way.target_type))
        {
            return self.point(&record.values[position], set).unwrap_or(Value::Null);
        }
        follow(&self.model, record, ty, navigation, |set| Graph::set(self, set))
    }

    fn looked_at(&self, ty: usize, navigation: usize) -> usize {
        let way = self.model.types()[ty].navigation.get(navigation);
        let set = way.and_then(|way| self.model.set_of_type(way.target_type));
        set.and_then(|set| self.rows[set].get()).map_or(1, |rows| rows.items().len())
    }

    fn set(&self, place: usize) -> Value {
        self.rows[place].get_or_init(|| self.records(place)).clone()
    }

    fn singleton(&self, _: usize) -> Value {
        Value::Null
    }
}

impl Store for GatewayService {
    fn media(&self, _: &Record) -> Option<Media> {
        None
    }

    /// The payload of a dead letter.
    fn stream(&self, entity: &Record, _: usize) -> Option<Media> {
        let Some(Value::Int(id)) = entity.values.first() else { return None };
        let letter = self.engine().log().dead_letter(u64::try_from(*id).ok()?).ok()??;
        match letter.item {
            LetterItem::Frame { frame, .. } => {
                Some(Media { media_type: "application/octet-stream".into(), bytes: frame.payload })
            }
            LetterItem::Reading { .. } => None,
        }
    }

    fn act(&self, _: usize) -> Result<(), Error> {
        Err(Error::Internal("the gateway has no actions at its root".into()))
    }
}

impl Service for GatewayService {
    fn carried(&self, method: &str, path_below_root: &str, status: u16) {
        let note = self.note.lock().take();
        if matches!(method, "GET" | "HEAD") {
            return;
        }
        let (method, path_below_root) = (method.to_owned(), path_below_root.trim_start_matches('/').to_owned());
        self.carried_requests.lock().push(CarriedRequest { method, path_below_root, status, note });
    }

    fn model(&self) -> &Model {
        &self.model
    }

    fn page_max_rows(&self) -> usize {
        ODATA_PAGE_MAX_ROWS
    }

    fn page_rows(&self) -> usize {
        ODATA_PAGE_ROWS
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }

    fn is_queried(&self, set: usize) -> bool {
        self.source(&self.model.entity_sets()[set].name).is_some()
    }

    /// The log, the last number given and the first that is still there.
    fn state(&self, set: usize) -> Option<String> {
        self.source(&self.model.entity_sets()[set].name)?;
        Some(super::changes::state(self.engine().log()))
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, Error> {
        match self.source_of(query)? {
            Source::Table(table) => readings::read(self, table, query),
            Source::Wide(set) => wide::read(self, set, query),
        }
    }

    fn each(&self, query: &Query<'_>, take: Take<'_>) -> Result<Option<Given>, Error> {
        match self.source_of(query)? {
            Source::Table(table) => readings::each(self, table, query, take).map(Some),
            Source::Wide(_) => Ok(None),
        }
    }

    fn count(&self, query: &Query<'_>) -> Result<u64, Error> {
        match self.source_of(query)? {
            Source::Table(table) => readings::count(self, table, query),
            Source::Wide(set) => wide::count(self, set, query),
        }
    }

    fn aggregate(
        &self,
        query: &Query<'_>,
        grouping: &Grouping<'_>,
        groups_max: usize,
    ) -> Result<Option<Vec<Row>>, Error> {
        match self.source_of(query)? {
            Source::Table(table) => aggregate::groups(self, table, query, grouping, groups_max),
            // A row is made of many readings: this is done with the rows.
            Source::Wide(_) => Ok(None),
        }
    }

    fn invoke(&self, invocation: &Invocation<'_>) -> Result<Value, Error> {
        actions::invoke(self, invocation)
    }
}

/// What a failure of the log is to a client.
pub(super) fn explain(error: LogError) -> Error {
    match error {
        LogError::QueryTimeout { .. } | LogError::QueriesBusy { .. } | LogError::Closed => {
            Error::Unavailable(error.to_string())
        }
        error => {
            tracing::error!("an OData query failed: {}", chain(&error));
            Error::Internal("the log could not answer; the journal says why".into())
        }
    }
}
