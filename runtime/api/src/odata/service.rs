//! The service behind the model: which set is answered by what.

use super::lists;
use super::model::{CONNECTIONS, LATEST_READINGS, POINTS, READINGS, model};
use super::readings::{self, Table};
use crate::limits::{ODATA_PAGE_ROWS, ODATA_QUERY_MAX};
use crate::problem::chain;
use bulkhead_engine::Engine;
use bulkhead_log::{LogError, Query as Sql};
use bulkhead_odata::{Error, Model, Page, Query, Service};

/// The gateway as an OData service. Its calls block.
pub(crate) struct GatewayService {
    engine: Engine,
    model: Model,
}

/// What answers a set.
enum Source {
    Readings(Table),
    List(lists::Rows),
}

impl GatewayService {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, model: model() }
    }

    fn source(&self, query: &Query<'_>) -> Result<Source, Error> {
        match query.set.name.as_str() {
            READINGS => Ok(Source::Readings(Table::Readings)),
            LATEST_READINGS => Ok(Source::Readings(Table::Latest)),
            CONNECTIONS => Ok(Source::List(lists::connections(&self.engine.connections()))),
            POINTS => Ok(Source::List(lists::points(&self.engine.log().catalogue(), query))),
            other => Err(Error::Internal(format!("the set {other} has no source"))),
        }
    }

    fn sql(&self) -> Result<Sql, Error> {
        let mut sql = self.engine.log().query().map_err(explain)?;
        sql.set_time_limit(ODATA_QUERY_MAX);
        Ok(sql)
    }
}

impl Service for GatewayService {
    fn model(&self) -> &Model {
        &self.model
    }

    fn page_max_rows(&self) -> usize {
        ODATA_PAGE_ROWS
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, Error> {
        let sql = self.sql()?;
        match self.source(query)? {
            Source::Readings(table) => readings::read(&sql, table, query, self.engine.log()),
            Source::List(rows) => lists::read(&sql, &rows, query),
        }
    }

    fn count(&self, query: &Query<'_>) -> Result<u64, Error> {
        let sql = self.sql()?;
        match self.source(query)? {
            Source::Readings(table) => readings::count(&sql, table, query),
            Source::List(rows) => lists::count(&sql, &rows, query),
        }
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
