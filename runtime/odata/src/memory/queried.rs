//! Sets whose rows are not in memory: what a path and its options leave of them is asked of the service, piece by piece.

use super::Job;
use crate::apply::{self, Beginning, Groups, Transformation, inlined};
use crate::eval::Graph;
use crate::limits::{CHUNK_ROWS, FLAT_CHUNK_ROWS, GROUPS_MAX, ROWS_IN_MEMORY_MAX, SORTED_CHUNK_ROWS};
use crate::resource::Step;
use crate::service::Grouping;
use crate::typed::{Comparison, Node, TypedExpr, Types};
use crate::value::{Home, Record};
use crate::view::{Shape, View};
use crate::{EntityType, Error, OrderBy, Query, Row, Service, Value};
use std::sync::Arc;

/// Rows of a set that the service is asked for.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Queried {
    pub(super) set: usize,
    /// What a path demands of them.
    pub(super) conditions: Vec<TypedExpr>,
}

impl Queried {
    pub(super) fn new(set: usize) -> Self {
        Self { set, conditions: Vec::new() }
    }

    /// The rows that a navigation leads to, if the service is asked for them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a navigation that nothing is said of.
    pub(super) fn beyond(
        service: &dyn Service,
        record: &Record,
        ty: usize,
        navigation: usize,
    ) -> Result<Option<Self>, Error> {
        let model = service.model();
        let here = &model.types()[ty];
        let Some(way) = here.navigation.get(navigation).filter(|way| way.collection) else { return Ok(None) };
        let Some(set) = model.set_of_type(way.target_type).filter(|set| service.is_queried(*set)) else {
            return Ok(None);
        };
        let there = &model.types()[way.target_type];
        let pairs = way
            .constraints
            .iter()
            .filter_map(|(own, other)| Some((record.values.get(here.position(own)?)?.clone(), there.position(other)?)));
        let conditions: Vec<_> = pairs.map(|(value, position)| TypedExpr::equals(there, position, value)).collect();
        if conditions.is_empty() {
            return Err(Error::unsupported(way.name.as_str(), "read the set and filter it"));
        }
        Ok(Some(Self { set, conditions }))
    }

    /// A key with the parts that the path demands already.
    fn whole_key(&self, key: &[(usize, Value)], ty: &EntityType) -> Vec<(usize, Value)> {
        let demanded = |position: usize| {
            self.conditions.iter().find_map(|condition| match &condition.node {
                Node::Compare(Comparison::Eq, left, right) => match (&left.node, &right.node) {
                    (Node::Property(found), Node::Literal(value)) if *found == position => Some(value.clone()),
                    _ => None,
                },
                _ => None,
            })
        };
        let given = |position: usize| key.iter().find(|(known, _)| *known == position).map(|(_, value)| value.clone());
        let mut whole: Vec<(usize, Value)> = ty
            .key_positions()
            .filter_map(|position| Some((position, given(position).or_else(|| demanded(position))?)))
            .collect();
        whole.sort_by_key(|(position, _)| *position);
        whole
    }

    /// The query for these rows.
    ///
    /// # Errors
    /// [`Error::Internal`] for a set that is not there.
    pub(super) fn query<'m>(&self, service: &'m dyn Service) -> Result<Query<'m>, Error> {
        let query = Query::all(service.model(), self.set);
        let mut query = query.ok_or_else(|| Error::Internal("the model does not have this set".into()))?;
        self.conditions.iter().for_each(|condition| query.restrict(condition.clone()));
        Ok(query)
    }
}

/// Puts what a view wants into a query. Computed properties are computed again where they are used.
pub(super) fn with_view(query: &mut Query<'_>, view: &View) {
    if let Some(filter) = &view.filter {
        query.restrict(inlined(filter, &view.compute));
    }
    query.search = view.search.clone();
    let order =
        |item: &OrderBy| OrderBy { expression: inlined(&item.expression, &view.compute), descending: item.descending };
    query.orderby = view.orderby.iter().map(order).collect();
    query.skip = (view.skip > 0).then_some(view.skip);
    query.top = view.top;
    query.count = view.count;
    if let Some(columns) = columns(query, view) {
        query.columns = columns;
    }
}

/// The properties that rows must have for a view; none: all.
fn columns(query: &Query<'_>, view: &View) -> Option<Vec<usize>> {
    let ty = query.entity_type;
    let select = view.shape.select.as_ref().filter(|select| !select.star)?;
    if ty.etag_of_all || select.items.iter().any(|(_, shape)| shape.inner.is_some()) {
        return None;
    }
    let mut wanted: Vec<usize> =
        ty.key_positions().chain(ty.etag.as_ref().and_then(|name| ty.position(name))).collect();
    wanted.extend(select.items.iter().filter_map(|(name, _)| ty.position(name)));
    for way in expanded(&view.shape) {
        let way = ty.navigation.iter().find(|known| known.name == *way)?;
        wanted.extend(way.constraints.iter().filter_map(|(here, _)| ty.position(here)));
    }
    let mut plain = true;
    for stage in &view.compute {
        stage.value().walk(&mut |expression| match expression.node {
            Node::Property(position) if position < ty.properties.len() => wanted.push(position),
            Node::Variable(_) | Node::Navigate(..) => plain = false,
            _ => {}
        });
    }
    wanted.sort_unstable();
    wanted.dedup();
    plain.then_some(wanted)
}

fn expanded(shape: &Shape) -> impl Iterator<Item = &String> {
    shape.expand.iter().map(|expand| &expand.name)
}

/// Rows to ask for at a time.
pub(super) fn chunk_rows(query: &Query<'_>, is_flat: bool) -> usize {
    let ty = query.entity_type;
    let natural = match query.orderby.as_slice() {
        [] => true,
        [only] => matches!(only.expression.node, Node::Property(position) if ty.key_positions().eq([position])),
        _ => false,
    };
    match (natural, is_flat) {
        (false, _) => SORTED_CHUNK_ROWS,
        (true, false) => CHUNK_ROWS,
        (true, true) => FLAT_CHUNK_ROWS,
    }
}

/// A row as a record.
pub(super) fn record(query: &Query<'_>, ty: usize, set: usize, row: Row) -> Value {
    let count = query.entity_type.properties.len();
    let values = if query.columns.len() == count {
        row
    } else {
        let mut values = vec![Value::Null; count];
        for (position, value) in query.columns.iter().zip(row) {
            values[*position] = value;
        }
        values
    };
    Value::Record(Arc::new(Record { ty, home: Home::Set(set), values }))
}

/// The place of a query's type.
pub(super) fn type_of(query: &Query<'_>, service: &dyn Service) -> usize {
    service.model().type_place(&query.entity_type.name).unwrap_or_default()
}

impl<'a> Job<'a> {
    /// Goes a step on from rows that are not there yet: to fewer of them, or to one that is read now.
    #[allow(clippy::type_complexity, reason = "either of two, used once")]
    pub(super) fn narrow(&self, mut queried: Queried, step: &Step) -> Result<Result<Queried, Value>, Error> {
        match step {
            Step::Filter(condition) => {
                queried.conditions.push(condition.clone());
                Ok(Ok(queried))
            }
            // There are no types derived from those of a service.
            Step::Cast(_) => Ok(Ok(queried)),
            Step::Key(key) => {
                let mut query = queried.query(self.service)?;
                query.key = Some(queried.whole_key(key, query.entity_type));
                let row = self.service.read(&query)?.rows.into_iter().next();
                let ty = type_of(&query, self.service);
                Ok(Err(row.map_or(Value::Null, |row| record(&query, ty, queried.set, row))))
            }
            Step::Navigate(_) | Step::Property(_) | Step::Item(_) => {
                Err(Error::NotFound("a collection has no such part".into()))
            }
        }
    }

    /// What a navigation leads to, where the service is asked for it.
    pub(super) fn queried_beyond(
        &self,
        record: &Record,
        navigation: usize,
        types: &Types<'_>,
    ) -> Result<Option<Queried>, Error> {
        match types.of_model(record.ty) {
            Some(ty) => Queried::beyond(self.service, record, ty, navigation),
            None => Ok(None),
        }
    }

    /// The rows that a sequence of transformations makes of those of a query, with the service doing what it can.
    pub(super) fn transformed(
        &self,
        query: &Query<'a>,
        set: usize,
        sequence: &[Transformation],
        types: &Types<'a>,
    ) -> Result<Vec<Value>, Error> {
        let beginning = Beginning::of(sequence);
        let mut query = query.clone();
        beginning.filters.iter().for_each(|filter| query.restrict(filter.clone()));
        let evaluator = self.evaluator(types);
        let plain = beginning.searches.is_empty();
        let Some((first, rest)) = beginning.rest.split_first().filter(|_| plain) else {
            let rows = self.rows_of(&query, set)?;
            return Ok(apply::run(sequence, rows, &evaluator));
        };
        let rest: Vec<Transformation> = rest.iter().map(|transformation| (*transformation).clone()).collect();
        if let Transformation::Concat(branches, made) = first
            && beginning.stages.is_empty()
        {
            let mut all = Vec::new();
            for branch in branches {
                let rows = self.transformed(&query, set, branch, types)?;
                all.extend(rows.into_iter().map(|row| apply::as_union(row, *made, &evaluator)));
            }
            return Ok(apply::run(&rest, all, &evaluator));
        }
        if let Some(groups) = Groups::of(first, &beginning.stages) {
            let keys: Vec<&TypedExpr> = groups.leaves.iter().collect();
            let values: Vec<_> = groups.values.iter().map(|(method, of)| (*method, of.as_ref())).collect();
            let grouping = Grouping { keys: &keys, values: &values };
            if let Some(rows) = self.service.aggregate(&query, &grouping, GROUPS_MAX)? {
                let rows = rows.into_iter().map(|row| groups.record(row)).collect();
                return Ok(apply::run(&rest, rows, &evaluator));
            }
        }
        let rows = self.rows_of(&query, set)?;
        Ok(apply::run(sequence, rows, &evaluator))
    }

    /// All rows of a query, in memory.
    fn rows_of(&self, query: &Query<'a>, set: usize) -> Result<Vec<Value>, Error> {
        let mut query = query.clone();
        let ty = type_of(&query, self.service);
        let mut rows = Vec::new();
        loop {
            query.page_max_rows = CHUNK_ROWS;
            let page = self.service.read(&query)?;
            rows.extend(page.rows.into_iter().map(|row| record(&query, ty, set, row)));
            if rows.len() > ROWS_IN_MEMORY_MAX {
                let limit = "rows in memory";
                return Err(Error::Limit { target: "$apply".into(), limit, max: ROWS_IN_MEMORY_MAX });
            }
            if page.next_token.is_none() {
                return Ok(rows);
            }
            query.page_token = page.next_token;
        }
    }
}

/// Refuses a view whose expressions lead to rows of which there may be millions for each row.
pub(super) fn check_reach(view: &View, service: &dyn Service, types: &Types<'_>) -> Result<(), Error> {
    let mut refused = None;
    let model = service.model();
    view.walk(&mut |expression| {
        let name = match &expression.node {
            Node::Set(set) if service.is_queried(*set) => Some(model.entity_sets()[*set].name.clone()),
            Node::Navigate(from, way) => from.ty.and_then(crate::Type::structure).and_then(|place| {
                let way = types.structured(place).navigation.get(*way).filter(|way| way.collection)?;
                let set = model.set_of_type(way.target_type)?;
                service.is_queried(set).then(|| way.name.clone())
            }),
            _ => None,
        };
        refused = refused.take().or(name);
    });
    match refused {
        None => Ok(()),
        Some(name) => Err(Error::unsupported(format!("`{name}` in an expression"), "read it by itself, or $expand it")),
    }
}

/// The entity that a navigation to one leads to in a set that the service is asked for: for a [`Graph`] of a service.
///
/// # Errors
/// Those of [`Service::read`].
pub fn entity_beyond(
    service: &dyn Service,
    record: &Record,
    ty: usize,
    navigation: usize,
) -> Result<Option<Value>, Error> {
    let model = service.model();
    let here = &model.types()[ty];
    let Some(way) = here.navigation.get(navigation).filter(|way| !way.collection) else { return Ok(None) };
    let Some(set) = model.set_of_type(way.target_type).filter(|set| service.is_queried(*set)) else { return Ok(None) };
    let there = &model.types()[way.target_type];
    let pairs = way
        .constraints
        .iter()
        .filter_map(|(own, other)| Some((record.values.get(here.position(own)?)?.clone(), there.position(other)?)));
    let conditions: Vec<_> = pairs.map(|(value, position)| TypedExpr::equals(there, position, value)).collect();
    if conditions.is_empty() {
        return Ok(None);
    }
    let query = Queried { set, conditions }.query(service)?;
    let row = service.read(&query)?.rows.into_iter().next();
    Ok(Some(row.map_or(Value::Null, |row| self::record(&query, way.target_type, set, row))))
}

/// Whether a graph has the rows of a set, for the joins of sets.
pub(super) fn all_of_set(job: &Job<'_>, set: usize) -> Result<Value, Error> {
    if job.service.is_queried(set) {
        let name = &job.service.model().entity_sets()[set].name;
        return Err(Error::unsupported(format!("`{name}` here"), "read the set by itself"));
    }
    Ok(Graph::set(job.store, set))
}
