//! Pages of rows: read in chunks, ended by rows or by bytes, whichever comes first.

use crate::json;
use crate::limits::{CHUNK_ROWS, PAGE_MAX_BYTES};
use bulkhead_log::{LogError, Row};
use bulkhead_model::Seq;

/// Rows in order, and whether there are more behind them.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Row>,
    pub(crate) more: bool,
}

impl Page {
    /// Reads a page of at most `limit` rows behind `after`. `read` gives the rows behind a seq, at most so many.
    pub(crate) fn read(
        after: Seq,
        limit: usize,
        read: impl Fn(Seq, usize) -> Result<Vec<Row>, LogError>,
    ) -> Result<Self, LogError> {
        let mut page = Self::default();
        let (mut position, mut bytes) = (after, 0);
        loop {
            // One more than fits: it says whether there is another page.
            let wanted = CHUNK_ROWS.min(limit + 1 - page.rows.len());
            let chunk = read(position, wanted)?;
            let is_last = chunk.len() < wanted;
            for row in chunk {
                if page.rows.len() == limit || bytes >= PAGE_MAX_BYTES {
                    page.more = true;
                    return Ok(page);
                }
                position = row.seq;
                bytes += json::weight(&row);
                page.rows.push(row);
            }
            if is_last {
                return Ok(page);
            }
        }
    }

    /// The seq of the last row.
    pub(crate) fn last_seq(&self) -> Option<Seq> {
        self.rows.last().map(|row| row.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{PointId, Reading, Status, Timestamp, Value};

    fn row(seq: Seq, bytes: usize) -> Row {
        let value = Some(Value::Text("x".repeat(bytes)));
        Row { seq, reading: Reading { point: PointId(0), time: Timestamp(0), status: Status::GOOD, value } }
    }

    fn page(all: &[Row], after: Seq, limit: usize) -> (Vec<Seq>, bool) {
        let read = |after, limit| Ok(all.iter().filter(|row| row.seq > after).take(limit).cloned().collect());
        let page = Page::read(after, limit, read).unwrap();
        (page.rows.iter().map(|row| row.seq).collect(), page.more)
    }

    #[test]
    fn pages_end_at_their_limit_and_say_whether_there_is_more() {
        let all: Vec<Row> = (1..=1_000).map(|seq| row(seq, 1)).collect();
        assert_eq!(page(&all, 0, 3), (vec![1, 2, 3], true));
        assert_eq!(page(&all, 997, 3), (vec![998, 999, 1_000], false));
        assert_eq!(page(&all, 1_000, 3), (vec![], false));
        let (seqs, more) = page(&all, 0, 999);
        assert_eq!((seqs.len(), more), (999, true));
        let (seqs, more) = page(&all, 0, 1_000);
        assert_eq!((seqs.len(), more), (1_000, false));
    }

    #[test]
    fn heavy_values_end_a_page_early_but_never_empty() {
        let all: Vec<Row> = (1..=4).map(|seq| row(seq, PAGE_MAX_BYTES)).collect();
        assert_eq!(page(&all, 0, 3), (vec![1], true));
        assert_eq!(page(&all, 3, 3), (vec![4], false));
    }
}
