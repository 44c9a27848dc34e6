//! The documents of a registry: manifests and indexes as the OCI image specification has them, and the config of a WebAssembly
//! artifact.

use super::reference::Digest;
use crate::exit::Exit;
use bulkhead_bundle::{Manifest, Surface};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const WASM_LAYER: &str = "application/wasm";
pub(crate) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub(crate) const EMPTY_CONTENT: &[u8] = b"{}";
/// The type of a signature's artifact, and of its one layer: the text of a `.minisig` file.
pub(crate) const SIGNATURE: &str = "application/vnd.bulkhead.minisign.v1";
/// Longest signature that is fetched.
pub(crate) const SIGNATURE_MAX_BYTES: u64 = 4096;

/// Names bytes that a registry has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
}

impl Descriptor {
    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        Self { media_type: media_type.into(), digest, size, artifact_type: None }
    }
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Artifact {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    /// What it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Artifact {
    /// The manifest of an adapter.
    pub(crate) fn adapter(config: Descriptor, layer: Descriptor, about: Option<&Manifest>) -> Self {
        let annotated = about.into_iter().flat_map(|about| {
            [
                ("title", about.id.clone()),
                ("version", about.version.to_string()),
                ("description", about.description.clone()),
                ("authors", about.author.clone()),
                ("licenses", about.licence.clone()),
            ]
        });
        let annotations = annotated.map(|(key, value)| (format!("org.opencontainers.image.{key}"), value)).collect();
        Self { annotations, ..Self::of(config, layer) }
    }

    /// The manifest of a signature.
    pub(crate) fn signature(config: Descriptor, layer: Descriptor, subject: Descriptor) -> Self {
        Self { artifact_type: Some(SIGNATURE.into()), subject: Some(subject), ..Self::of(config, layer) }
    }

    fn of(config: Descriptor, layer: Descriptor) -> Self {
        Self {
            schema_version: 2,
            media_type: MANIFEST.into(),
            artifact_type: None,
            config,
            layers: vec![layer],
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The one layer that is a component.
    pub(crate) fn adapter_layer(&self) -> Result<&Descriptor, String> {
        let mut layers = self.layers.iter().filter(|layer| layer.media_type == WASM_LAYER);
        match (layers.next(), layers.next()) {
            (Some(layer), None) => Ok(layer),
            _ => Err(format!("it is no adapter: expected one layer of {WASM_LAYER} in its manifest")),
        }
    }

    pub(crate) fn written(&self) -> Result<Vec<u8>, Exit> {
        Ok(serde_json::to_vec(self)?)
    }
}

/// A list of manifests: here, of those that refer to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Vec<Descriptor>,
}

impl Index {
    pub(crate) fn empty() -> Self {
        Self { schema_version: 2, media_type: INDEX.into(), manifests: Vec::new() }
    }

    /// With one more, the newest first.
    pub(crate) fn with(mut self, one: Descriptor) -> Self {
        self.manifests.retain(|other| other.digest != one.digest);
        self.manifests.insert(0, one);
        self
    }

    /// The signatures among them.
    pub(crate) fn signatures(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|one| one.artifact_type.as_deref() == Some(SIGNATURE))
    }

    pub(crate) fn written(&self) -> Result<Vec<u8>, Exit> {
        Ok(serde_json::to_vec(self)?)
    }
}

/// The config of a WebAssembly artifact: what it imports and exports.
pub(crate) fn config(created: &str, layer: &Descriptor, surface: &Surface, about: Option<&Manifest>) -> Vec<u8> {
    let config = json!({
        "created": created,
        "author": about.map(|about| about.author.clone()),
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer.digest.as_str()],
        "component": { "exports": surface.exports, "imports": surface.imports, "target": null },
    });
    config.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter() -> Artifact {
        Artifact::adapter(Descriptor::of(WASM_CONFIG, b"{}"), Descriptor::of(WASM_LAYER, b"wasm"), None)
    }

    #[test]
    fn a_manifest_is_written_as_other_tools_read_it() {
        let written: serde_json::Value = serde_json::from_slice(&adapter().written().unwrap()).unwrap();
        let digest = Digest::of(b"wasm");
        let expected = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": WASM_CONFIG, "digest": Digest::of(b"{}"), "size": 2 },
            "layers": [{ "mediaType": WASM_LAYER, "digest": digest, "size": 4 }],
        });
        assert_eq!(written, expected);
        let read: Artifact = serde_json::from_value(written).unwrap();
        assert_eq!(read.adapter_layer().unwrap().digest, digest);
    }

    #[test]
    fn what_has_no_component_or_two_is_none() {
        let mut two = adapter();
        two.layers.push(two.layers[0].clone());
        assert!(two.adapter_layer().is_err());
        two.layers.iter_mut().for_each(|layer| layer.media_type = "application/gzip".into());
        assert!(two.adapter_layer().unwrap_err().contains("application/wasm"));
        let bad = json!({ "mediaType": "x", "digest": "sha256:../..", "size": 1 });
        assert!(serde_json::from_value::<Descriptor>(bad).is_err(), "a digest goes into a URL");
    }

    #[test]
    fn signatures_are_told_from_what_else_refers_and_none_is_listed_twice() {
        let signature =
            |bytes: &[u8]| Descriptor { artifact_type: Some(SIGNATURE.into()), ..Descriptor::of(MANIFEST, bytes) };
        let index = Index::empty().with(signature(b"1")).with(Descriptor::of(MANIFEST, b"sbom")).with(signature(b"2"));
        let index = index.with(signature(b"1"));
        let digests: Vec<_> = index.signatures().map(|one| one.digest.clone()).collect();
        assert_eq!(digests, [Digest::of(b"1"), Digest::of(b"2")]);
    }
}
