//! Which coding of a body a client likes best: `Accept-Encoding` (RFC 9110 §12.5.3). Who serves bodies compresses them; which
//! way is decided here, once for all of them.

/// Bodies below this many bytes are sent as they are: they would grow, or gain nothing.
pub const WORTH_MIN_BYTES: usize = 512;
/// Entries of an `Accept-Encoding` that are looked at.
const ENTRIES_MAX: usize = 32;

/// A coding of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
        }
    }

    /// The one that a client likes best; none: the body as it is. What it likes alike goes as zstd. A client that names
    /// `identity` and likes it better than both gets that.
    #[must_use]
    pub fn preferred(accept_encoding: &str) -> Option<Self> {
        let named = |name: &str| {
            let mut entries = accept_encoding.split(',').take(ENTRIES_MAX).map(entry);
            entries.find(|(coding, _)| coding.eq_ignore_ascii_case(name)).map(|(_, quality)| quality)
        };
        let quality = |coding: Coding| {
            let alias = if coding == Coding::Gzip { named("x-gzip") } else { None };
            named(coding.name()).or(alias).or_else(|| named("*")).unwrap_or(0)
        };
        let (zstd, gzip, identity) = (quality(Coding::Zstd), quality(Coding::Gzip), named("identity").unwrap_or(0));
        let (best, coding) = if zstd >= gzip { (zstd, Coding::Zstd) } else { (gzip, Coding::Gzip) };
        (best > 0 && best >= identity).then_some(coding)
    }

    /// Whether a client takes this one at all.
    #[must_use]
    pub fn is_taken(self, accept_encoding: &str) -> bool {
        let only = |(coding, quality): (&str, u16)| {
            (quality > 0 && (coding.eq_ignore_ascii_case(self.name()) || coding == "*")).then_some(())
        };
        let refused = accept_encoding
            .split(',')
            .take(ENTRIES_MAX)
            .map(entry)
            .any(|(coding, quality)| coding.eq_ignore_ascii_case(self.name()) && quality == 0);
        !refused && accept_encoding.split(',').take(ENTRIES_MAX).map(entry).find_map(only).is_some()
    }
}

/// A coding and how much it is liked, in thousandths; what is no number is not liked at all.
fn entry(text: &str) -> (&str, u16) {
    let (coding, weight) = text.split_once(';').unwrap_or((text, ""));
    let given = weight.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let thousandths = |value: &str| {
        let quality: f32 = value.parse().ok()?;
        // At most 1000: it fits.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be 0 to 1")]
        (0.0..=1.0).contains(&quality).then_some((quality * 1000.0) as u16)
    };
    (coding.trim(), given.map_or(Some(1000), thousandths).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_says_which_and_whether() {
        for (accepted, expected) in [
            ("gzip, deflate, br", Some(Coding::Gzip)),
            ("gzip;q=0.5, zstd", Some(Coding::Zstd)),
            ("gzip, zstd;q=0.5", Some(Coding::Gzip)),
            ("gzip, zstd", Some(Coding::Zstd)),
            ("GZIP ; Q=0.2", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("gzip;q=0, *", Some(Coding::Zstd)),
            ("gzip;q=0, zstd;q=0", None),
            ("gzip;q=2", None),
            ("gzip;q=NaN", None),
            ("gzip;q=0.001", Some(Coding::Gzip)),
            ("br", None),
            ("", None),
        ] {
            assert_eq!(Coding::preferred(accepted), expected, "{accepted}");
        }
        assert!(Coding::Gzip.is_taken("zstd, gzip;q=0.1") && Coding::Gzip.is_taken("*"));
        assert!(!Coding::Gzip.is_taken("gzip;q=0, *") && !Coding::Gzip.is_taken("zstd"));
    }
}
