//! A core module becomes an adapter: a validated component that carries its manifest and the schema of its settings.

use crate::error::AuthorError;
use crate::grants;
use bulkhead_bundle::{MANIFEST_SECTION, Manifest, SETTINGS_SCHEMA_SECTION, Surface, append_section};
use serde_json::Value as Json;
use wit_component::ComponentEncoder;

/// The last two bytes of a component's header; a core module has another layer.
const COMPONENT_LAYER: &[u8] = &[1, 0];

/// Makes an adapter of a core module, or of a component made by another tool, with the schema of its settings and its
/// manifest where it has them. What the manifest says of roles and imports must be so.
///
/// # Errors
/// [`AuthorError::NoRole`]; [`AuthorError::NoAdapter`]: it does not fit the interfaces it names, its manifest or schema is wrong, or the
/// transports of its schema cannot grant what it imports.
pub fn encode(compiled: &[u8], schema: Option<&str>, manifest: Option<&Manifest>) -> Result<Vec<u8>, AuthorError> {
    let mut component = match compiled.get(6..8) {
        Some(COMPONENT_LAYER) => compiled.to_vec(),
        _ => component_of(compiled)?,
    };
    if let Some(schema) = schema {
        let surface = Surface::read(&component).map_err(AuthorError::NoAdapter)?;
        grants::check_transports(&parsed_schema(schema)?, &surface).map_err(AuthorError::NoAdapter)?;
        append_section(&mut component, SETTINGS_SCHEMA_SECTION, schema.as_bytes());
    }
    if let Some(manifest) = manifest {
        let surface = Surface::read(&component).map_err(AuthorError::NoAdapter)?;
        let fits = manifest.check_against(&surface);
        fits.map_err(|cause| {
            let cause = format!("adapter.toml does not fit the component: {cause}");
            if surface.roles().is_empty() { AuthorError::NoRole(cause) } else { AuthorError::NoAdapter(cause) }
        })?;
        let json = serde_json::to_vec(manifest).map_err(|error| AuthorError::NoAdapter(error.to_string()))?;
        append_section(&mut component, MANIFEST_SECTION, &json);
    }
    Ok(component)
}

fn component_of(module: &[u8]) -> Result<Vec<u8>, AuthorError> {
    let unreadable = |error| refused("the module's own description of its interfaces cannot be read", &error);
    let encoder = ComponentEncoder::default();
    let mut encoder = encoder.validate(true).module(module).map_err(unreadable)?;
    encoder.encode().map_err(|error| refused("the module does not fit the interfaces it names", &error))
}

/// The library's chain of causes in one line, with a word for the mistake that is made most.
fn refused(what: &str, error: &dyn std::fmt::Debug) -> AuthorError {
    let chain: Vec<String> = format!("{error:?}")
        .lines()
        // The library's own stack, where the environment asks for one, says nothing to an author.
        .take_while(|line| !line.starts_with("Stack backtrace"))
        .map(|line| line.trim().trim_start_matches(|c: char| c.is_ascii_digit() || c == ':').trim().to_owned())
        .filter(|line| !line.is_empty() && line != "Caused by:")
        .collect();
    let says = |word: &str| chain.iter().any(|line| line.contains(word));
    let hint = if says("__wbindgen") || says("\"env\"") {
        "; a dependency expects a JavaScript host or a C library: leave it out, or turn off its features for the web"
    } else if says("wasi_snapshot_preview1") {
        "; something in it uses files, the console or the clock of a C library: use the functions of the interfaces, such as \
         the SDK's `say` instead of `printf`"
    } else {
        ""
    };
    AuthorError::NoAdapter(format!("{what}: {}{hint}", chain.join(": ")))
}

/// A schema is a JSON object; a typing error is to be found here and not by who loads the adapter.
fn parsed_schema(schema: &str) -> Result<Json, AuthorError> {
    let value: Json = serde_json::from_str(schema)
        .map_err(|error| AuthorError::NoAdapter(format!("the settings schema is not JSON: {error}")))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(AuthorError::NoAdapter("the settings schema is not a JSON object".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight bytes an empty component begins with.
    const EMPTY_COMPONENT: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
    /// An empty core module.
    const EMPTY_MODULE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

    #[test]
    fn a_schema_must_be_an_object() {
        assert!(parsed_schema(r#"{"type":"object"}"#).is_ok());
        assert!(parsed_schema("[]").is_err());
        assert!(parsed_schema("{").unwrap_err().to_string().contains("not JSON"));
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(encode(b"not wasm", None, None).is_err());
    }

    #[test]
    fn a_module_becomes_a_component_with_its_schema_and_a_component_stays_one() {
        let component = encode(&EMPTY_MODULE, Some("{}"), None).unwrap();
        assert_eq!(component[..8], EMPTY_COMPONENT);
        assert!(component.ends_with(b"bulkhead:settings-schema{}"));
        assert_eq!(encode(&EMPTY_COMPONENT, None, None).unwrap(), EMPTY_COMPONENT);
    }

    #[test]
    fn a_manifest_that_promises_what_the_component_has_not_is_refused() {
        let source = "id = \"acme/press\"\nversion = \"1.0.0\"\ndescription = \"x\"\nauthor = \"x\"\nlicence = \"MIT\"\nroles = [\"poller\"]\n";
        let manifest = bulkhead_bundle::ManifestSource::parse(source).unwrap().manifest(Default::default()).unwrap();
        let error = encode(&EMPTY_COMPONENT, None, Some(&manifest)).unwrap_err().to_string();
        assert!(error.contains("says roles poller, and the component exports none"), "{error}");
    }
}
