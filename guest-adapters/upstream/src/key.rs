//! Idempotency keys of parts of a batch.

use bulkhead_sdk::{Batch, Entry};

/// The key of a batch's entries from one seq to another, the same whichever batch of the route they come in: the gateway's
/// keys end in first and last seq, and so does this. After a lost answer the same entries may come again as the rest of
/// the batch, which is another batch.
#[must_use]
pub fn key_of_part(batch: &Batch, first: u64, last: u64) -> String {
    let seq = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.seq);
    let whole = (seq(batch.entries.first()), seq(batch.entries.last()));
    if (first, last) == whole {
        return batch.key.clone();
    }
    let bounds = format!("-{}-{}", whole.0, whole.1);
    let route = batch.key.strip_suffix(bounds.as_str()).unwrap_or(&batch.key);
    format!("{route}-{first}-{last}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_sdk::Reading;

    fn batch(key: &str, first: u64, last: u64) -> Batch {
        let entry = |seq| Entry { seq, reading: Reading { point: 0, time: Some(0), status: 0, value: None } };
        Batch {
            key: key.to_owned(),
            route: "up".to_owned(),
            points: Vec::new(),
            entries: (first..=last).map(entry).collect(),
        }
    }

    #[test]
    fn the_same_entries_have_the_same_key_whichever_batch_they_come_in() {
        let whole = batch("log-up-rev-5-20", 5, 20);
        let rest = batch("log-up-rev-9-20", 9, 20);
        assert_eq!(key_of_part(&whole, 5, 20), "log-up-rev-5-20");
        assert_eq!(key_of_part(&whole, 9, 20), key_of_part(&rest, 9, 20));
        assert_eq!(key_of_part(&whole, 12, 12), key_of_part(&rest, 12, 12));
        assert_eq!(key_of_part(&whole, 12, 12), batch("log-up-rev-12-12", 12, 12).key);
    }

    #[test]
    fn a_key_of_another_form_is_kept_and_added_to() {
        let letter = batch("log-up-letter-7", 5, 5);
        assert_eq!(key_of_part(&letter, 5, 5), "log-up-letter-7");
        assert_eq!(key_of_part(&batch("k", 5, 6), 6, 6), "k-6-6");
    }
}
