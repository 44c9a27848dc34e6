//! What a project is made of, as the build script packed it: the WIT package, the SDK of each language, templates.

use crate::error::AuthorError;
use std::collections::BTreeMap;
use std::io::Read;

/// A JSON object of places and texts, deflated.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/assets.deflate"));

/// Texts by their place.
#[derive(Debug)]
pub(crate) struct Assets(BTreeMap<String, String>);

impl Assets {
    /// All of them.
    pub(crate) fn unpacked() -> Result<Self, AuthorError> {
        let mut json = Vec::new();
        let inflated = flate2::read::DeflateDecoder::new(PACKED).read_to_end(&mut json);
        inflated.map_err(|error| AuthorError::BadProject(format!("the program's own templates: {error}")))?;
        let texts = serde_json::from_slice(&json);
        texts.map(Self).map_err(|error| AuthorError::BadProject(format!("the program's own templates: {error}")))
    }

    /// The text at a place.
    pub(crate) fn text(&self, place: &str) -> Result<&str, AuthorError> {
        let missing = || AuthorError::BadProject(format!("the program has no template {place}"));
        self.0.get(place).map(String::as_str).ok_or_else(missing)
    }

    /// The texts below a folder, by their place in it.
    pub(crate) fn below(&self, folder: &str) -> impl Iterator<Item = (&str, &str)> {
        let prefix = format!("{folder}/");
        self.0.iter().filter_map(move |(place, text)| Some((place.strip_prefix(prefix.as_str())?, text.as_str())))
    }
}
