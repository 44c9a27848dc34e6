//! What the virtual table `readings` takes over from SQLite: bounds on seq, point and time, and the order by seq.
//! Pure: constraints in, a plan or a filter out.
//!
//! SQLite still checks every constraint itself on the rows it is given, so a filter may be looser than what was asked
//! (a text compared with a number is left to SQLite) but never tighter.

use crate::scan::RowFilter;
use rusqlite::types::ValueRef;

/// A column with a bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Column {
    /// `seq`, which is also the rowid.
    Seq,
    /// `point`.
    Point,
    /// `time`.
    Time,
}

impl Column {
    /// The column of a number in the table's declaration; -1 is the rowid.
    pub(crate) fn of_number(number: i32) -> Option<Self> {
        match number {
            -1 | 0 => Some(Self::Seq),
            1 => Some(Self::Point),
            2 => Some(Self::Time),
            _ => None,
        }
    }
}

/// A comparison of a column with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Comparison {
    /// `=`
    Equal,
    /// `>`
    Above,
    /// `>=`
    From,
    /// `<`
    Below,
    /// `<=`
    UpTo,
}

/// A bound on a column; its value comes when the scan starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bound {
    pub(crate) column: Column,
    pub(crate) comparison: Comparison,
}

impl Bound {
    /// Whether a scan can make use of it. Points have no order worth using.
    pub(crate) fn is_useful(self) -> bool {
        self.column != Column::Point || self.comparison == Comparison::Equal
    }

    /// As a letter in the plan that SQLite carries from planning to scanning.
    pub(crate) fn letter(self) -> char {
        let index = LETTERS.iter().position(|(_, bound)| *bound == self).unwrap_or(0);
        LETTERS[index].0
    }

    /// The bound of a letter.
    pub(crate) fn of_letter(letter: char) -> Option<Self> {
        LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, bound)| *bound)
    }
}

const fn bound(column: Column, comparison: Comparison) -> Bound {
    Bound { column, comparison }
}

const LETTERS: [(char, Bound); 11] = [
    ('a', bound(Column::Seq, Comparison::Equal)),
    ('b', bound(Column::Seq, Comparison::Above)),
    ('c', bound(Column::Seq, Comparison::From)),
    ('d', bound(Column::Seq, Comparison::Below)),
    ('e', bound(Column::Seq, Comparison::UpTo)),
    ('f', bound(Column::Point, Comparison::Equal)),
    ('g', bound(Column::Time, Comparison::Equal)),
    ('h', bound(Column::Time, Comparison::Above)),
    ('i', bound(Column::Time, Comparison::From)),
    ('j', bound(Column::Time, Comparison::Below)),
    ('k', bound(Column::Time, Comparison::UpTo)),
];

/// What a plan costs, in rows visited, when there are so many rows of so many points. Guesses: only their order matters.
#[expect(clippy::cast_precision_loss, reason = "a guess")]
pub(crate) fn cost(bounds: &[Bound], all_rows: u64, points: u32) -> f64 {
    let has =
        |column, equal: bool| bounds.iter().any(|b| b.column == column && (b.comparison == Comparison::Equal) == equal);
    if has(Column::Seq, true) {
        return 1.0;
    }
    let mut rows = all_rows.max(1) as f64;
    if has(Column::Point, true) {
        rows /= f64::from(points.max(2));
    }
    if has(Column::Seq, false) {
        rows /= 8.0;
    }
    if has(Column::Time, true) || has(Column::Time, false) {
        rows /= 8.0;
    }
    rows.max(1.0) + 10.0
}

/// Whole numbers that a comparison lets through: from, up to. None: it is not about numbers.
fn whole_range(comparison: Comparison, value: ValueRef<'_>) -> Option<(i64, i64)> {
    const NOTHING: (i64, i64) = (i64::MAX, i64::MIN);
    let above = |number: i64| number.checked_add(1).map_or(NOTHING, |from| (from, i64::MAX));
    let below = |number: i64| number.checked_sub(1).map_or(NOTHING, |to| (i64::MIN, to));
    match value {
        // Nothing compares with NULL.
        ValueRef::Null => Some(NOTHING),
        ValueRef::Integer(number) => Some(match comparison {
            Comparison::Equal => (number, number),
            Comparison::Above => above(number),
            Comparison::From => (number, i64::MAX),
            Comparison::Below => below(number),
            Comparison::UpTo => (i64::MIN, number),
        }),
        // Rounded outwards, and the ends of what an i64 holds taken for all beyond: looser, never tighter.
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
        ValueRef::Real(number) => Some(match comparison {
            Comparison::Equal => (number.floor() as i64, number.ceil() as i64),
            Comparison::Above | Comparison::From => (number.floor() as i64, i64::MAX),
            Comparison::Below | Comparison::UpTo => (i64::MIN, number.ceil() as i64),
        }),
        ValueRef::Text(_) | ValueRef::Blob(_) => None,
    }
}

/// Narrows a filter by a bound.
pub(crate) fn narrow(filter: &mut RowFilter, bound: Bound, value: ValueRef<'_>) {
    let Some((from, to)) = whole_range(bound.comparison, value) else { return };
    match bound.column {
        Column::Seq => {
            filter.after = filter.after.max(from.saturating_sub(1));
            filter.up_to = filter.up_to.min(to);
        }
        Column::Time => {
            filter.time_from = filter.time_from.max(from);
            filter.time_to = filter.time_to.min(to);
        }
        Column::Point => {
            // Only a range of one number names a point; a real between two numbers names none.
            let point = u32::try_from(from).ok().filter(|_| from == to);
            match (point, filter.point) {
                (Some(point), None) => filter.point = Some(point),
                (Some(point), Some(known)) if point == known => {}
                _ => filter.up_to = i64::MIN,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::Connection;

    #[test]
    fn letters_of_bounds_go_both_ways() {
        for (letter, bound) in LETTERS {
            assert_eq!((bound.letter(), Bound::of_letter(letter)), (letter, Some(bound)));
        }
    }

    #[test]
    fn tighter_plans_cost_less() {
        let point = bound(Column::Point, Comparison::Equal);
        let time = bound(Column::Time, Comparison::From);
        let seq = bound(Column::Seq, Comparison::Equal);
        let costs: Vec<f64> =
            [&[][..], &[time], &[point], &[point, time], &[seq]].map(|b| cost(b, 1_000_000, 500)).into();
        assert!(costs.is_sorted_by(|more, less| more > less), "{costs:?}");
    }

    fn comparisons() -> impl Strategy<Value = (Comparison, &'static str)> {
        prop::sample::select(vec![
            (Comparison::Equal, "="),
            (Comparison::Above, ">"),
            (Comparison::From, ">="),
            (Comparison::Below, "<"),
            (Comparison::UpTo, "<="),
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// SQLite itself is the oracle: a time that it lets through is never shut out by the filter.
        #[test]
        fn a_filter_is_never_tighter_than_sqlite(
            time in prop_oneof![-3..3_i64, any::<i64>()],
            (comparison, sign) in comparisons(),
            value in prop_oneof![
                (-3..3_i64).prop_map(rusqlite::types::Value::Integer),
                any::<i64>().prop_map(rusqlite::types::Value::Integer),
                (-3.0..3.0_f64).prop_map(rusqlite::types::Value::Real),
                any::<f64>().prop_map(rusqlite::types::Value::Real),
                Just(rusqlite::types::Value::Null),
                Just(rusqlite::types::Value::Text("2".into())),
            ],
        ) {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch("CREATE TABLE t(time INTEGER)").unwrap();
            connection.execute("INSERT INTO t VALUES (?1)", [time]).unwrap();
            let sql = format!("SELECT count(*) FROM t WHERE time {sign} ?1");
            let passes: i64 = connection.query_row(&sql, [&value], |row| row.get(0)).unwrap();
            let mut filter = RowFilter::default();
            narrow(&mut filter, bound(Column::Time, comparison), (&value).into());
            prop_assert!(passes == 0 || (filter.time_from <= time && time <= filter.time_to));
        }
    }
}
