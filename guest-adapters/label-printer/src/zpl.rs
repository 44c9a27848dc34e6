//! Labels in ZPL II: positions in dots, texts with what means something to the printer escaped.

use crate::settings::{Correction, QrSettings, SIDE_MAX_MM, Settings, TEXTS_MAX, TextSettings};
use crate::template::Template;
use serde_json::Value;
use std::fmt::Write;

/// Longest text of a QR code: its largest version holds this many bytes with the most correction.
const QR_MAX_BYTES: usize = 1273;
/// Longest line of text, in bytes; a field of a label holds 3,072.
const TEXT_MAX_BYTES: usize = 1024;

/// A label with its places worked out.
#[derive(Debug)]
pub(crate) struct Label {
    width: u32,
    height: u32,
    copies: u8,
    texts: Vec<Text>,
    qr: Option<Qr>,
}

#[derive(Debug)]
struct Text {
    x: u32,
    y: u32,
    height: u32,
    template: Template,
}

#[derive(Debug)]
struct Qr {
    x: u32,
    y: u32,
    module: u8,
    correction: char,
    template: Template,
}

impl Label {
    /// Checks a label's settings and works its places out.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub(crate) fn of(settings: &Settings) -> Result<Self, String> {
        if !matches!(settings.dots_per_mm, 6 | 8 | 12 | 24) {
            return Err(format!("dots_per_mm: {}, expected 6, 8, 12 or 24", settings.dots_per_mm));
        }
        if !(1..=99).contains(&settings.copies) {
            return Err(format!("copies: {}, expected 1 to 99", settings.copies));
        }
        if settings.texts.len() > TEXTS_MAX || (settings.texts.is_empty() && settings.qr.is_none()) {
            return Err(format!("texts: {} of them and no qr; expected 1 to {TEXTS_MAX}", settings.texts.len()));
        }
        for (name, side) in [("width_mm", settings.width_mm), ("height_mm", settings.height_mm)] {
            if !(1.0..=SIDE_MAX_MM).contains(&side) {
                return Err(format!("{name}: {side}, expected 1 to {SIDE_MAX_MM}"));
            }
        }
        let text = |(index, text)| Text::of(text, settings).map_err(|cause| format!("texts[{index}].{cause}"));
        let qr = settings.qr.as_ref().map(|qr| Qr::of(qr, settings).map_err(|cause| format!("qr.{cause}")));
        Ok(Self {
            width: dots(settings.width_mm, settings),
            height: dots(settings.height_mm, settings),
            copies: settings.copies,
            texts: settings.texts.iter().enumerate().map(text).collect::<Result<_, _>>()?,
            qr: qr.transpose()?,
        })
    }

    /// The label with its fields filled in, as it goes to the printer.
    ///
    /// # Errors
    /// A sentence: a field is missing, or a text is longer than it may be.
    pub(crate) fn filled(&self, fields: &Value) -> Result<String, String> {
        // UTF-8; the label's width and length.
        let mut zpl = format!("^XA^CI28^PW{}^LL{}\n", self.width, self.height);
        for text in &self.texts {
            let (x, y, height) = (text.x, text.y, text.height);
            let data = bounded(text.template.filled(fields)?, TEXT_MAX_BYTES, "a text")?;
            _ = writeln!(zpl, "^FO{x},{y}^A0N,{height},{height}^FH^FD{}^FS", escaped(&data));
        }
        if let Some(qr) = &self.qr {
            let (x, y, module, correction) = (qr.x, qr.y, qr.module, qr.correction);
            let data = bounded(qr.template.filled(fields)?, QR_MAX_BYTES, "the QR code's text")?;
            _ = writeln!(zpl, "^FO{x},{y}^BQN,2,{module}^FH^FD{correction}A,{}^FS", escaped(&data));
        }
        _ = writeln!(zpl, "^PQ{}^XZ", self.copies);
        Ok(zpl)
    }
}

impl Text {
    fn of(text: &TextSettings, settings: &Settings) -> Result<Self, String> {
        if !(1.0..=100.0).contains(&text.height_mm) {
            return Err(format!("height_mm: {}, expected 1 to 100", text.height_mm));
        }
        let (x, y) = place(text.x_mm, text.y_mm, settings)?;
        let template = Template::parse(&text.text).map_err(|cause| format!("text: {cause}"))?;
        Ok(Self { x, y, height: dots(text.height_mm, settings), template })
    }
}

impl Qr {
    fn of(qr: &QrSettings, settings: &Settings) -> Result<Self, String> {
        if !(1..=10).contains(&qr.module_dots) {
            return Err(format!("module_dots: {}, expected 1 to 10", qr.module_dots));
        }
        let correction = match qr.correction {
            Correction::Low => 'L',
            Correction::Medium => 'M',
            Correction::Quarter => 'Q',
            Correction::High => 'H',
        };
        let (x, y) = place(qr.x_mm, qr.y_mm, settings)?;
        let template = Template::parse(&qr.text).map_err(|cause| format!("text: {cause}"))?;
        Ok(Self { x, y, module: qr.module_dots, correction, template })
    }
}

fn place(x_mm: f64, y_mm: f64, settings: &Settings) -> Result<(u32, u32), String> {
    for (name, at, side) in [("x_mm", x_mm, settings.width_mm), ("y_mm", y_mm, settings.height_mm)] {
        if !(0.0..side).contains(&at) {
            return Err(format!("{name}: {at} is not on the label, which ends at {side}"));
        }
    }
    Ok((dots(x_mm, settings), dots(y_mm, settings)))
}

fn dots(mm: f64, settings: &Settings) -> u32 {
    (mm * f64::from(settings.dots_per_mm)).round() as u32
}

fn bounded(text: String, max_bytes: usize, what: &str) -> Result<String, String> {
    match text.len() <= max_bytes {
        true => Ok(text),
        false => Err(format!("{what} has {} bytes, and at most {max_bytes} fit", text.len())),
    }
}

/// A text in which `^`, `~` and control characters, which begin commands, are hexadecimal behind `_`, as `^FH` says: whatever
/// comes in prints as it is and does nothing else.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '^' | '~' | '_' | '\\' | '\0'..='\x1f' | '\x7f' => _ = write!(escaped, "_{:02X}", u32::from(character)),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn settings(toml: &str) -> Settings {
        toml::from_str(&format!("width_mm = 60\nheight_mm = 40\n{toml}")).unwrap()
    }

    #[test]
    fn a_label_is_these_commands() {
        let label = settings(
            "texts = [{ text = \"{a}\", x_mm = 2.5, y_mm = 3 }]\nqr = { text = \"{a}\", x_mm = 30, y_mm = 10 }",
        );
        assert_eq!(
            Label::of(&label).unwrap().filled(&json!({ "a": "7 °C" })).unwrap(),
            "^XA^CI28^PW480^LL320\n^FO20,24^A0N,32,32^FH^FD7 °C^FS\n^FO240,80^BQN,2,5^FH^FDMA,7 °C^FS\n^PQ1^XZ\n"
        );
    }

    #[test]
    fn a_setting_that_cannot_be_is_named() {
        let told = |toml: &str| Label::of(&settings(toml)).unwrap_err();
        assert!(told("").contains("texts: 0 of them and no qr"));
        assert!(
            told("texts = [{ text = \"\", x_mm = 60, y_mm = 0 }]").contains("texts[0].x_mm: 60 is not on the label")
        );
        assert!(told("texts = [{ text = \"{\", x_mm = 0, y_mm = 0 }]").contains("texts[0].text: `{`: a brace"));
        assert!(told("dots_per_mm = 7\nqr = { text = \"a\", x_mm = 1, y_mm = 1 }").contains("dots_per_mm: 7"));
        assert!(told("qr = { text = \"a\", x_mm = 1, y_mm = 1, module_dots = 0 }").contains("qr.module_dots: 0"));
    }

    proptest! {
        #[test]
        fn no_field_brings_a_command(text in "\\PC{0,40}|[\\^~_\\\\a-z\\x00-\\x1f]{0,40}") {
            let label = settings("texts = [{ text = \"{a}\", x_mm = 0, y_mm = 0 }]");
            let zpl = Label::of(&label).unwrap().filled(&json!({ "a": text })).unwrap();
            let plain = Label::of(&label).unwrap().filled(&json!({ "a": "" })).unwrap();
            let commands = |zpl: &str| zpl.chars().filter(|c| matches!(c, '^' | '~')).count();
            prop_assert_eq!(commands(&zpl), commands(&plain));
            prop_assert_eq!(zpl.lines().count(), 3);
        }
    }
}
