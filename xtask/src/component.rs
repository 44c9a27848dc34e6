//! A core module becomes an adapter: a validated component that carries the schema of its settings.

use anyhow::{Context, Result, ensure};
use wit_component::ComponentEncoder;

/// The custom section that holds the JSON Schema of an adapter's settings.
pub(crate) const SCHEMA_SECTION: &str = "bulkhead:settings-schema";

/// Makes a component of a core module, with the schema of its settings where it has one.
pub(crate) fn encode(core_module: &[u8], schema: Option<&str>) -> Result<Vec<u8>> {
    let mut component = ComponentEncoder::default()
        .validate(true)
        .module(core_module)
        .context("the module's own description of its interfaces cannot be read")?
        .encode()
        .context("the module does not fit the interfaces it names")?;
    if let Some(schema) = schema {
        check_schema(schema)?;
        append_custom_section(&mut component, SCHEMA_SECTION, schema.as_bytes())?;
    }
    Ok(component)
}

/// A schema is a JSON object; a typing error is to be found here and not by who loads the adapter.
fn check_schema(schema: &str) -> Result<()> {
    let value: serde_json::Value = serde_json::from_str(schema).context("the settings schema is not JSON")?;
    ensure!(value.is_object(), "the settings schema is not a JSON object");
    Ok(())
}

/// Appends a custom section (WebAssembly core specification, section 5.5.3; components have the same): id 0, the size
/// of the rest, the name with its length, the content. It may stand after any other section.
fn append_custom_section(component: &mut Vec<u8>, name: &str, content: &[u8]) -> Result<()> {
    let mut body = leb128(u32::try_from(name.len())?);
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    component.push(0);
    component.extend(leb128(u32::try_from(body.len())?));
    component.extend(body);
    Ok(())
}

/// An unsigned number in LEB128: seven bits a byte, lowest first, the top bit set on all but the last.
fn leb128(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight bytes an empty component begins with.
    const EMPTY_COMPONENT: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];

    #[test]
    fn numbers_are_written_as_the_specification_shows() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [0x7f]);
        assert_eq!(leb128(128), [0x80, 0x01]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn a_section_has_id_size_name_and_content() {
        let mut component = EMPTY_COMPONENT.to_vec();
        append_custom_section(&mut component, "ab", b"xyz").unwrap();
        assert_eq!(component[8..], [0, 6, 2, b'a', b'b', b'x', b'y', b'z']);
    }

    #[test]
    fn a_schema_must_be_an_object() {
        assert!(check_schema(r#"{"type":"object"}"#).is_ok());
        assert!(check_schema("[]").is_err());
        assert!(check_schema("{").unwrap_err().to_string().contains("not JSON"));
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(encode(b"not wasm", None).is_err());
    }

    #[test]
    fn a_module_without_interfaces_becomes_a_component_with_its_schema() {
        let empty_module = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
        let component = encode(&empty_module, Some("{}")).unwrap();
        assert_eq!(component[..8], EMPTY_COMPONENT);
        assert!(component.ends_with(b"bulkhead:settings-schema{}"));
    }
}
