//! Streams in rows: where they are read, and their bytes where a client wants those in place (JSON Format §9, §10).

use super::context::address;
use super::write::{Object, Pending, Writer};
use crate::Media;
use crate::Value;
use crate::negotiate::Metadata;
use crate::value::Record;
use crate::view::Expanded;

/// Whether an expansion asks for the bytes of a stream, by its name; `$value` is that of a media entity.
pub(super) fn is_wanted(pending: &[Pending<'_>], name: &str) -> bool {
    let wants = |item: &&Pending<'_>| item.expand.what == Expanded::Stream && item.expand.way.len() == item.done;
    pending.iter().filter(wants).any(|item| item.expand.name == name)
}

impl Writer<'_> {
    /// A stream has no value: there is only where it is read.
    pub(super) fn stream(
        &self,
        object: &mut Object<'_>,
        record: &Record,
        position: usize,
        name: &str,
        selected: bool,
        expanded: bool,
    ) {
        if !(self.full() || selected && self.style.format.metadata == Metadata::Minimal) {
            return;
        }
        if let Some(address) = address(self.types(), record) {
            let link = format!("{name}{}", self.style.control("mediaReadLink"));
            object.text(&link, &format!("{}{address}/{name}", self.style.root));
        }
        // Where the bytes are, their type stands beside them.
        if let Some(media) = self.store.stream(record, position).filter(|_| !expanded) {
            object.text(&format!("{name}{}", self.style.control("mediaContentType")), &media.media_type);
        }
    }

    /// The bytes of a stream in the place of a property: JSON as it is, text as a text, anything else as base64url (JSON
    /// Format §9).
    pub(super) fn content(&self, object: &mut Object<'_>, name: &str, media: Option<Media>) {
        let Some(media) = media else {
            object.name(name).extend_from_slice(b"null");
            return;
        };
        object.text(&format!("{name}{}", self.style.control("mediaContentType")), &media.media_type);
        let kind = media.media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_json = kind == "application/json" || kind.ends_with("+json");
        if is_json && serde_json::from_slice::<serde_json::Value>(&media.bytes).is_ok() {
            object.name(name).extend_from_slice(&media.bytes);
            return;
        }
        match String::from_utf8(media.bytes) {
            Ok(text) if kind.starts_with("text/") => object.text(name, &text),
            Ok(text) => object.text(name, &Value::Binary(text.into_bytes()).to_string()),
            Err(error) => object.text(name, &Value::Binary(error.into_bytes()).to_string()),
        }
    }

    /// The bytes of a media entity.
    pub(super) fn media_value(&self, object: &mut Object<'_>, record: &Record) {
        match self.store.media(record) {
            Some(media) => object.text("$value", &Value::Binary(media.bytes).to_string()),
            None => object.name("$value").extend_from_slice(b"null"),
        }
    }
}
