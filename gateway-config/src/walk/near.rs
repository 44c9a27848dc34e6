//! Near names: what was probably meant.

/// Least likeness (Jaro-Winkler, 0 to 1) of a name that is worth suggesting.
const LIKENESS_MIN: f64 = 0.8;

/// Shortest name that a near one is looked for by a slip of the finger.
const NAME_MIN_BYTES: usize = 3;

/// The candidate that is most like a name, if any is like it.
#[must_use]
pub fn nearest<'c>(name: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let lower = name.to_lowercase().replace(' ', "_");
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let folded = (candidate.replace('-', "_"), lower.replace('-', "_"));
        let close =
            strsim::damerau_levenshtein(&folded.0, &folded.1) <= 1 + lower.len() / 8 && lower.len() >= NAME_MIN_BYTES;
        strsim::jaro_winkler(&folded.0, &folded.1) + if close { 1.0 } else { 0.0 }
    };
    candidates
        .iter()
        .map(|candidate| (likeness(candidate), *candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A hint with the nearest candidate.
pub(crate) fn did_you_mean(name: &str, candidates: &[&str]) -> Option<String> {
    nearest(name, candidates).map(|near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let keys = ["poll_interval_ms", "heartbeat_s", "adapter"];
        assert_eq!(nearest("poll_interval", &keys), Some("poll_interval_ms"));
        assert_eq!(nearest("adaptor", &keys), Some("adapter"));
        assert_eq!(nearest("zzz", &keys), None);
        assert_eq!(nearest("Modbus TCP", &["modbus-tcp", "modbus-rtu"]), Some("modbus-tcp"));
        assert_eq!(nearest("", &keys), None);
        assert_eq!(nearest("modbus-tpc", &["modbus-rtu", "modbus-tcp"]), Some("modbus-tcp"));
    }
}
