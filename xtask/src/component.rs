//! A core module becomes an adapter: a validated component that carries its manifest and the schema of its settings.

use anyhow::{Context, Result, ensure};
use bulkhead_bundle::{MANIFEST_SECTION, Manifest, SETTINGS_SCHEMA_SECTION, Surface, append_section};
use wit_component::ComponentEncoder;

/// Makes a component of a core module, with the schema of its settings and its manifest where it has them. What the manifest
/// says of roles and imports must be so.
pub(crate) fn encode(core_module: &[u8], schema: Option<&str>, manifest: Option<&Manifest>) -> Result<Vec<u8>> {
    let mut component = ComponentEncoder::default()
        .validate(true)
        .module(core_module)
        .context("the module's own description of its interfaces cannot be read")?
        .encode()
        .context("the module does not fit the interfaces it names")?;
    if let Some(schema) = schema {
        check_schema(schema)?;
        append_section(&mut component, SETTINGS_SCHEMA_SECTION, schema.as_bytes());
    }
    if let Some(manifest) = manifest {
        let surface = Surface::read(&component).map_err(anyhow::Error::msg)?;
        manifest.check_against(&surface).map_err(anyhow::Error::msg).context("adapter.toml")?;
        append_section(&mut component, MANIFEST_SECTION, &serde_json::to_vec(manifest)?);
    }
    Ok(component)
}

/// A schema is a JSON object; a typing error is to be found here and not by who loads the adapter.
fn check_schema(schema: &str) -> Result<()> {
    let value: serde_json::Value = serde_json::from_str(schema).context("the settings schema is not JSON")?;
    ensure!(value.is_object(), "the settings schema is not a JSON object");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight bytes an empty component begins with.
    const EMPTY_COMPONENT: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];

    #[test]
    fn a_schema_must_be_an_object() {
        assert!(check_schema(r#"{"type":"object"}"#).is_ok());
        assert!(check_schema("[]").is_err());
        assert!(check_schema("{").unwrap_err().to_string().contains("not JSON"));
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(encode(b"not wasm", None, None).is_err());
    }

    #[test]
    fn a_module_without_interfaces_becomes_a_component_with_its_schema() {
        let empty_module = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
        let component = encode(&empty_module, Some("{}"), None).unwrap();
        assert_eq!(component[..8], EMPTY_COMPONENT);
        assert!(component.ends_with(b"bulkhead:settings-schema{}"));
    }
}
