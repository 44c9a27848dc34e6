//! What the headers ask for: the version, the format and its flavour, the page size (Part 1 §8, JSON Format §3).

use crate::Error;

/// The protocol version of an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// 4.0
    V4_0,
    /// 4.01
    V4_01,
}

impl Version {
    /// As `OData-Version` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V4_0 => "4.0",
            Self::V4_01 => "4.01",
        }
    }
}

/// The version to answer in, and whether the client said that it knows 4.01.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Negotiated {
    /// The version.
    pub version: Version,
    /// Whether control information goes without `odata.`: only for clients that asked for 4.01 by name, because those
    /// that ask for nothing are often written for 4.0.
    pub short_names: bool,
}

impl Negotiated {
    /// In what the model goes as XML: 4.0 for clients that have not said that they know 4.01. Many fetch `$metadata` without a
    /// word about versions, save it or hand it to others, and take no other; both versions say the same of our models.
    #[must_use]
    pub fn for_xml_model(self) -> Self {
        let version = if self.short_names { Version::V4_01 } else { Version::V4_0 };
        Self { version, ..self }
    }
}

/// Chooses the version by `OData-MaxVersion`, and checks `OData-Version`. The headers of OData 1 to 3 are ignored.
///
/// # Errors
/// [`Error::Invalid`] for a version below 4.0 or one that is none.
pub fn version(odata_version: Option<&str>, odata_max_version: Option<&str>) -> Result<Negotiated, Error> {
    if let Some(text) = odata_version
        && !matches!(number(text), Some((4, 0 | 1)))
    {
        return Err(Error::invalid("OData-Version", format!("4.0 or 4.01 is expected, not `{text}`")));
    }
    let Some(text) = odata_max_version else {
        return Ok(Negotiated { version: Version::V4_01, short_names: false });
    };
    match number(text) {
        Some(asked) if asked >= (4, 1) => Ok(Negotiated { version: Version::V4_01, short_names: true }),
        Some((4, 0)) => Ok(Negotiated { version: Version::V4_0, short_names: false }),
        _ => Err(Error::invalid("OData-MaxVersion", format!("4.0 or higher is expected, not `{text}`"))),
    }
}

/// Major and minor; `4.01` is 4 and 1. Something after a semicolon, which some clients add, is ignored.
fn number(text: &str) -> Option<(u32, u32)> {
    let text = text.split(';').next()?.trim();
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// How much control information goes with the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Metadata {
    /// What a client cannot compute.
    #[default]
    Minimal,
    /// Everything.
    Full,
    /// Only the count and the next link.
    None,
}

impl Metadata {
    fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Full => "full",
            Self::None => "none",
        }
    }
}

/// The flavour of JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JsonFormat {
    /// How much control information.
    pub metadata: Metadata,
    /// Whether 64-bit integers and decimals are written as strings.
    pub ieee754_compatible: bool,
    /// Whether the client reads while it is written.
    pub streaming: bool,
}

impl JsonFormat {
    /// The media type for `Content-Type`.
    #[must_use]
    pub fn content_type(self, short_names: bool) -> String {
        let prefix = if short_names { "" } else { "odata." };
        let mut text = format!("application/json;{prefix}metadata={}", self.metadata.name());
        if self.ieee754_compatible {
            text.push_str(";IEEE754Compatible=true");
        }
        if self.streaming {
            text.push_str(&format!(";{prefix}streaming=true"));
        }
        text + ";charset=utf-8"
    }
}

/// One entry of `Accept`.
struct Range<'a> {
    media_type: String,
    parameters: Vec<(String, &'a str)>,
    quality: f32,
}

fn ranges(accept: &str) -> impl Iterator<Item = Range<'_>> {
    accept.split(',').filter(|entry| !entry.trim().is_empty()).map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut quality = 1.0;
        let mut parameters = Vec::new();
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
            if name == "q" {
                quality = value.parse().unwrap_or(0.0);
            } else {
                parameters.push((name, value));
            }
        }
        Range { media_type, parameters, quality }
    })
}

/// The entries for a media type: those that name it; if none does, those that name its family; if none does, `*/*`.
fn matching<'a>(accept: &'a str, media_type: &str) -> Vec<Range<'a>> {
    let family = format!("{}/*", media_type.split('/').next().unwrap_or_default());
    for wanted in [media_type, &family, "*/*"] {
        let found: Vec<_> = ranges(accept).filter(|range| range.media_type == wanted).collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// Whether a media type is acceptable. No header accepts everything.
#[must_use]
pub fn accepts(accept: Option<&str>, media_type: &str) -> bool {
    accept.is_none_or(|accept| matching(accept, media_type).iter().any(|range| range.quality > 0.0))
}

/// Chooses the flavour of JSON by `$format`, which wins, or `Accept`.
///
/// # Errors
/// [`Error::NotAcceptable`]
pub fn json_format(format: Option<&str>, accept: Option<&str>) -> Result<JsonFormat, Error> {
    let text = match (format, accept) {
        (Some(format), _) if format.eq_ignore_ascii_case("json") => return Ok(JsonFormat::default()),
        (Some(format), _) if !format.contains('/') => {
            return Err(Error::NotAcceptable(format!("$format={format} where application/json is offered")));
        }
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return Ok(JsonFormat::default()),
    };
    let mut best: Option<(f32, JsonFormat)> = None;
    for range in matching(text, "application/json") {
        let better = range.quality > best.map_or(0.0, |(quality, _)| quality);
        if let Some(format) = flavour(&range).filter(|_| better) {
            best = Some((range.quality, format));
        }
    }
    best.map(|(_, format)| format)
        .ok_or_else(|| Error::NotAcceptable(format!("`{text}` where application/json is offered")))
}

/// Whether a client would rather have one media type than another that it may take, too.
#[must_use]
pub fn prefers(accept: Option<&str>, media_type: &str, to: &str) -> bool {
    let Some(accept) = accept else { return false };
    let quality = |media_type: &str| matching(accept, media_type).iter().map(|range| range.quality).fold(0.0, f32::max);
    let named = ranges(accept).any(|range| range.media_type == media_type);
    named
        && (quality(media_type) > quality(to) || !ranges(accept).any(|range| range.media_type == to))
        && quality(media_type) >= quality(to)
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataFormat {
    /// JSON.
    Json(JsonFormat),
    /// One line a row, values separated by commas (RFC 4180).
    Csv(CellText),
    /// One JSON object a line.
    Ndjson(JsonFormat),
}

/// How texts stand in the cells of CSV.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CellText {
    /// As they are.
    #[default]
    Exact,
    /// So that a spreadsheet takes none for a formula ([`crate::cells::guarded`]).
    Guarded,
}

/// The media types of rows, with what stands for them in `$format`.
const CSV: [&str; 2] = ["text/csv", "csv"];
const NDJSON: [&str; 4] = ["application/x-ndjson", "ndjson", "application/ndjson", "application/jsonl"];

/// Chooses how rows are written by `$format`, which wins, or `Accept`; JSON where a client does not care.
///
/// # Errors
/// [`Error::NotAcceptable`]
pub fn data_format(format: Option<&str>, accept: Option<&str>) -> Result<DataFormat, Error> {
    let plain = JsonFormat { metadata: Metadata::None, ..JsonFormat::default() };
    if let Some(format) = format {
        let media_type = format.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if CSV.contains(&&*media_type) {
            return ranges(format).next().map_or(Ok(CellText::Exact), |range| cell_text(&range)).map(DataFormat::Csv);
        }
        if NDJSON.contains(&&*media_type) {
            return Ok(DataFormat::Ndjson(plain));
        }
        return json_format(Some(format), None).map(DataFormat::Json);
    }
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return Ok(DataFormat::Json(JsonFormat::default()));
    };
    // Only types that a client names can be better than JSON.
    let named = |names: &[&str]| {
        ranges(accept)
            .filter(|range| names.contains(&&*range.media_type))
            .map(|range| range.quality)
            .fold(0.0, f32::max)
    };
    let json = matching(accept, "application/json").iter().map(|range| range.quality).fold(0.0, f32::max);
    let (csv, ndjson) = (named(&CSV), named(&NDJSON));
    if csv > json && csv >= ndjson {
        let best = ranges(accept).find(|range| CSV.contains(&&*range.media_type) && range.quality >= csv);
        best.map_or(Ok(CellText::Exact), |range| cell_text(&range)).map(DataFormat::Csv)
    } else if ndjson > json {
        Ok(DataFormat::Ndjson(plain))
    } else {
        json_format(None, Some(accept)).map(DataFormat::Json)
    }
}

/// The preferences of a `Prefer` header: names in lower case without `odata.`, and values.
pub fn preferences(prefer: &str) -> impl Iterator<Item = (String, &str)> {
    prefer.split(',').map(|part| {
        let part = part.split(';').next().unwrap_or_default();
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = name.trim().to_ascii_lowercase();
        (name.strip_prefix("odata.").unwrap_or(&name).to_owned(), value.trim().trim_matches('"'))
    })
}

/// How an entry for CSV asks for texts. What is not understood is refused: exact texts are no answer to it.
fn cell_text(range: &Range<'_>) -> Result<CellText, Error> {
    match range
        .parameters
        .iter()
        .find(|(name, _)| name == "text")
        .map(|(_, value)| value.to_ascii_lowercase())
        .as_deref()
    {
        None | Some("exact") => Ok(CellText::Exact),
        Some("guarded") => Ok(CellText::Guarded),
        Some(other) => Err(Error::NotAcceptable(format!("text/csv;text={other}: expected exact or guarded"))),
    }
}

/// The flavour an entry asks for; none if it asks for what JSON here is not. Unknown parameters are ignored.
fn flavour(range: &Range<'_>) -> Option<JsonFormat> {
    let mut format = JsonFormat::default();
    for (name, value) in &range.parameters {
        let value = value.to_ascii_lowercase();
        match name.as_str() {
            "odata.metadata" | "metadata" => {
                format.metadata = match value.as_str() {
                    "minimal" => Metadata::Minimal,
                    "full" => Metadata::Full,
                    "none" => Metadata::None,
                    _ => return None,
                }
            }
            "ieee754compatible" => format.ieee754_compatible = flag(&value)?,
            "odata.streaming" | "streaming" => format.streaming = flag(&value)?,
            "charset" if value != "utf-8" && value != "utf8" => return None,
            _ => {}
        }
    }
    Some(format)
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// The page size of a `Prefer` header, with the name the client gave it. Zero and what is no number are ignored, as
/// preferences may be.
#[must_use]
pub fn max_page_size(prefer: &str) -> Option<(&'static str, usize)> {
    // The shorter name wins where both are given (Part 1 §8.2.8.5).
    ["maxpagesize", "odata.maxpagesize"].into_iter().find_map(|known| {
        let sizes = prefer.split([',', ';']).filter_map(|part| part.split_once('='));
        let mut sizes = sizes.filter(|(name, _)| known.eq_ignore_ascii_case(name.trim()));
        let rows: usize = sizes.find_map(|(_, value)| value.trim().trim_matches('"').parse().ok())?;
        (rows > 0).then_some((known, rows))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_follows_the_clients_maximum() {
        let chosen = |max| version(None, max).map(|found| (found.version, found.short_names));
        assert_eq!(chosen(None), Ok((Version::V4_01, false)));
        assert_eq!(chosen(Some("4.0")), Ok((Version::V4_0, false)));
        assert_eq!(chosen(Some("4.01")), Ok((Version::V4_01, true)));
        assert_eq!(chosen(Some("5.0")), Ok((Version::V4_01, true)));
        assert!(chosen(Some("3.0")).is_err() && chosen(Some("x")).is_err());
        assert!(version(Some("4.0"), None).is_ok() && version(Some("3.0"), None).is_err());
    }

    #[test]
    fn csv_comes_with_exact_texts_unless_guarded_ones_are_asked_for() {
        for (format, accept, text) in [
            (Some("csv"), None, CellText::Exact),
            (Some("text/csv;text=exact"), None, CellText::Exact),
            (Some("csv;text=guarded"), None, CellText::Guarded),
            (Some("text/csv; header=present; text=Guarded"), Some("application/json"), CellText::Guarded),
            (None, Some("text/csv;text=guarded, application/json;q=0.5"), CellText::Guarded),
            (None, Some("text/csv"), CellText::Exact),
        ] {
            assert_eq!(data_format(format, accept), Ok(DataFormat::Csv(text)), "{format:?} {accept:?}");
        }
        assert!(data_format(Some("csv;text=gaurded"), None).is_err());
    }

    #[test]
    fn the_best_acceptable_json_is_chosen() {
        let metadata = |accept| json_format(None, Some(accept)).map(|format| format.metadata);
        assert_eq!(metadata("*/*"), Ok(Metadata::Minimal));
        let long = "application/json;odata.metadata=minimal;q=1.0,application/json;odata=minimalmetadata;q=0.9,\
                    application/atomsvc+xml;q=0.8,application/atom+xml;q=0.8,application/xml;q=0.7,text/plain;q=0.7";
        assert_eq!(metadata(long), Ok(Metadata::Minimal));
        let two = "application/json;odata.metadata=none;q=0.2, application/json;metadata=full;q=0.4";
        assert_eq!(metadata(two), Ok(Metadata::Full));
        assert!(metadata("application/json;q=0, */*").is_err());
        assert!(metadata("application/json;odata.metadata=verbose").is_err());
        assert!(metadata("application/atom+xml").is_err());
        assert!(metadata("application/json;charset=latin1").is_err());
        assert_eq!(json_format(Some("JSON"), Some("text/html")), Ok(JsonFormat::default()));
        assert!(json_format(Some("xml"), None).is_err());
        let strings = json_format(Some("application/json;IEEE754Compatible=true"), None).unwrap();
        assert!(strings.ieee754_compatible);
    }

    #[test]
    fn page_sizes_are_read_from_preferences() {
        assert_eq!(max_page_size("return=minimal, odata.maxpagesize=50"), Some(("odata.maxpagesize", 50)));
        assert_eq!(max_page_size("MaxPageSize=7"), Some(("maxpagesize", 7)));
        assert_eq!(max_page_size("maxpagesize=0"), None);
        assert_eq!(max_page_size("maxpagesize=x"), None);
    }
}
