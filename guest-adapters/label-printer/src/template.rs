//! Texts with fields in braces.

use serde_json::Value;

/// A text with fields.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The names on the way to a field.
    Field(Vec<String>),
}

impl Template {
    /// Takes a text apart.
    ///
    /// # Errors
    /// A sentence: a brace without its other one, or a field without a name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            let behind = &rest[at + 1..];
            if behind.starts_with(brace) {
                plain.push_str(brace);
                rest = &behind[1..];
                continue;
            }
            let field = behind.split_once('}').filter(|_| brace == "{");
            let (name, behind) =
                field.ok_or_else(|| format!("`{text}`: a brace stands alone; `{brace}{brace}` is one"))?;
            if name.split('.').any(str::is_empty) || name.contains('{') {
                return Err(format!("`{text}`: `{{{name}}}` is no field; expected a name such as `{{order}}`"));
            }
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            pieces.push(Piece::Field(name.split('.').map(str::to_owned).collect()));
            rest = behind;
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self(pieces))
    }

    /// The text with its fields filled in.
    ///
    /// # Errors
    /// A sentence that names a field that is not there, or that is no text, number or truth.
    pub(crate) fn filled(&self, fields: &Value) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Field(names) => text.push_str(&field(names, fields)?),
            }
        }
        Ok(text)
    }
}

fn field(names: &[String], fields: &Value) -> Result<String, String> {
    let found = names.iter().try_fold(fields, |inside, name| inside.get(name));
    match found {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(truth)) => Ok(truth.to_string()),
        Some(_) => Err(format!("the field `{}` is no text, number or truth", names.join("."))),
        None => Err(format!("the field `{}` is missing", names.join("."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(text: &str) -> Result<String, String> {
        let fields =
            json!({ "order": "A-7", "count": 3, "item": { "name": "Ventil {klein}", "ok": true }, "list": [] });
        Template::parse(text)?.filled(&fields)
    }

    #[test]
    fn fields_are_filled_in_once() {
        assert_eq!(filled("{order}: {count} × {item.name} {item.ok}").unwrap(), "A-7: 3 × Ventil {klein} true");
        assert_eq!(filled("{{{order}}}").unwrap(), "{A-7}");
        assert_eq!(filled("").unwrap(), "");
    }

    #[test]
    fn what_is_missing_or_no_text_is_named() {
        assert_eq!(filled("{item.price}").unwrap_err(), "the field `item.price` is missing");
        assert_eq!(filled("{list}").unwrap_err(), "the field `list` is no text, number or truth");
    }

    #[test]
    fn a_brace_alone_is_a_mistake() {
        for text in ["{order", "order}", "{}", "{a..b}", "{a{b}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
