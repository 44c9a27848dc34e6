//! Checksums of the rows of `state.db`: tables have a stored generated column `sum` that SQLite computes with a function of
//! ours at each insert and update, so that no statement can forget it. Reading the tables needs no function, changing them
//! does: every connection that writes is opened by [`crate::sqlite::open_state`].

use crate::sqlite::set;
use crc32fast::Hasher;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

/// What such a column is called, and how it is declared behind the others: [`sum_column`].
const SUM: &str = "sum";

/// The declaration of the sum over columns.
macro_rules! sum_column {
    ($columns:literal) => {
        concat!("sum INTEGER GENERATED ALWAYS AS (row_sum(", $columns, ")) STORED")
    };
}
pub(crate) use sum_column;

/// Makes the function known to a connection.
pub(crate) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function(c"row_sum", -1, flags, |context| {
        let mut hasher = Hasher::new();
        for index in 0..context.len() {
            add(&mut hasher, context.get_raw(index));
        }
        Ok(i64::from(hasher.finalize()))
    })
}

fn add(hasher: &mut Hasher, value: ValueRef<'_>) {
    let (class, bytes): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(number) => {
            hasher.update(&[1]);
            return hasher.update(&number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            hasher.update(&[2]);
            return hasher.update(&number.to_le_bytes());
        }
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(blob) => (4, blob),
    };
    hasher.update(&[class]);
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// A table whose rows carry a sum.
#[derive(Debug)]
struct Summed {
    name: String,
    /// Its columns without the sum, with commas.
    columns: String,
}

fn summed_tables(connection: &Connection) -> rusqlite::Result<Vec<Summed>> {
    let mut names = connection.prepare(
        "SELECT m.name FROM main.sqlite_schema m JOIN pragma_table_xinfo(m.name) c
         WHERE m.type = 'table' AND c.name = ?1 AND c.hidden = 3 ORDER BY m.name",
    )?;
    let names = names.query_map([SUM], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut columns = connection.prepare("SELECT group_concat(name, ', ') FROM pragma_table_info(?1)")?;
    names
        .into_iter()
        .map(|name| {
            let columns = columns.query_row([&name], |row| row.get(0))?;
            Ok(Summed { name, columns })
        })
        .collect()
}

/// What does not hold in a database: SQLite's own check of its structure, its indexes against their tables included (a name
/// is read from an index where that has all that is asked for), then the rows' sums. None: it is whole.
pub(crate) fn damage_in(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let said: String = connection.query_row("PRAGMA main.integrity_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Ok(Some(said));
    }
    for Summed { name, columns } in summed_tables(connection)? {
        let sql = format!("SELECT count(*) FROM main.{name} WHERE {SUM} IS NOT row_sum({columns})");
        let bad: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        if bad > 0 {
            return Ok(Some(format!("{bad} rows of the table `{name}` are not what was written")));
        }
    }
    Ok(None)
}

/// How a table's rows came over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Copied {
    pub(crate) table: String,
    /// Rows that came over.
    pub(crate) rows: u64,
    /// Rows were left: they did not hold, or could not be read.
    pub(crate) is_partial: bool,
}

/// Copies the rows that hold from a damaged database into the tables of a new one, table by table, as far as each can be
/// read. Rows that are there already are replaced.
pub(crate) fn copy_sound(damaged: &Connection, new: &Connection) -> rusqlite::Result<Vec<Copied>> {
    summed_tables(new)?.into_iter().map(|table| copy_table(damaged, new, table)).collect()
}

fn copy_table(damaged: &Connection, new: &Connection, table: Summed) -> rusqlite::Result<Copied> {
    let Summed { name, columns } = table;
    let mut copied = Copied { table: name.clone(), rows: 0, is_partial: false };
    let places = vec!["?"; columns.split(", ").count()].join(", ");
    let mut insert = new.prepare(&format!("INSERT OR REPLACE INTO main.{name}({columns}) VALUES ({places})"))?;
    // From both ends: what lies before and behind one bad page is found.
    for order in ["ASC", "DESC"] {
        let sql = format!("SELECT {columns}, {SUM} IS row_sum({columns}) FROM main.{name} ORDER BY 1 {order}");
        let read = (|| -> rusqlite::Result<()> {
            let mut select = damaged.prepare(&sql)?;
            let last = select.column_count() - 1;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                if row.get(last)? {
                    let values = (0..last).map(|column| row.get(column));
                    let values = values.collect::<rusqlite::Result<Vec<rusqlite::types::Value>>>()?;
                    insert.execute(params_from_iter(values))?;
                } else {
                    copied.is_partial = true;
                }
            }
            Ok(())
        })();
        match read {
            Ok(()) => break,
            Err(_) => copied.is_partial = true,
        }
    }
    copied.rows = new
        .query_row(&format!("SELECT count(*) FROM main.{name}"), [], |row| row.get(0).map(crate::state::loaded_seq))?;
    Ok(copied)
}

/// Opens a damaged database to read what it still has; it may fail at any later point.
pub(crate) fn open_damaged(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    register(&connection)?;
    set(&connection, "query_only = 1")?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = concat!(
        "CREATE TABLE a(key TEXT PRIMARY KEY, value NOT NULL, ",
        sum_column!("key, value"),
        ") WITHOUT ROWID; CREATE TABLE b(id INTEGER PRIMARY KEY, x REAL, ",
        sum_column!("id, x"),
        "); CREATE TABLE plain(x);"
    );

    fn tables() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection
            .execute_batch(
                "INSERT INTO a(key, value) VALUES ('k', 1), ('l', 'text'), ('m', x'00ff');
                 INSERT INTO b(x) VALUES (1), (2.5), (NULL); UPDATE a SET value = 2 WHERE key = 'k';",
            )
            .unwrap();
        connection
    }

    #[test]
    fn rows_hold_as_they_were_written_and_changed_ones_do_not() {
        let connection = tables();
        assert_eq!(damage_in(&connection).unwrap(), None);
        // What a flipped bit does: the value changes, the sum stays.
        let other = |context: &rusqlite::functions::Context<'_>| {
            let _ = context;
            Ok(7_i64)
        };
        connection.create_scalar_function(c"row_sum", -1, FunctionFlags::SQLITE_DETERMINISTIC, other).unwrap();
        connection.execute("UPDATE b SET x = 3 WHERE id = 2", []).unwrap();
        register(&connection).unwrap();
        assert!(damage_in(&connection).unwrap().unwrap().contains("`b`"));
        let new = Connection::open_in_memory().unwrap();
        register(&new).unwrap();
        new.execute_batch(TABLES).unwrap();
        let copied = copy_sound(&connection, &new).unwrap();
        let of = |table: &str, rows, is_partial| Copied { table: table.to_owned(), rows, is_partial };
        assert_eq!(copied, [of("a", 3, false), of("b", 2, true)]);
        assert_eq!(damage_in(&new).unwrap(), None);
    }
}
