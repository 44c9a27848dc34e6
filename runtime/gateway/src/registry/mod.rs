//! Adapters in OCI registries, in the layout of WebAssembly artifacts that `wkg` and others use: a manifest with one layer of
//! `application/wasm`. The signature is an artifact of its own that refers to the manifest, so that those others, who expect
//! exactly one layer, read the adapter all the same. What comes from a registry is believed no more than any other file: its
//! digest says that it arrived whole, its signature who made it.

mod artifact;
mod challenge;
mod client;
mod reference;

pub(crate) use client::{Access, Credentials};
pub(crate) use reference::Reference;

use crate::exit::Exit;
use artifact::{Artifact, Descriptor, Index};
use bulkhead_bundle::{Manifest, Surface};
use client::Registry;
use reference::Digest;

/// Most signatures of one adapter that are looked at; there is one a key.
const SIGNATURES_MAX: usize = 8;

/// What a registry has under a reference.
pub(crate) struct Pulled {
    pub(crate) bytes: Vec<u8>,
    /// The texts of its signatures, in the registry's order.
    pub(crate) signatures: Vec<String>,
}

/// Fetches an adapter and, where asked for, its signatures.
pub(crate) async fn pull(reference: &Reference, access: Access, with_signatures: bool) -> Result<Pulled, Exit> {
    let registry = Registry::new(reference, access).await?;
    let (digest, artifact) = registry.artifact(reference.wanted()).await?;
    let layer = artifact.adapter_layer().map_err(|cause| Exit::failed(format!("{reference}: {cause}")))?;
    let bytes = registry.blob(layer, bulkhead_bundle::ADAPTER_FILE_MAX_BYTES).await?;
    let signatures = if with_signatures { signatures(&registry, &digest).await? } else { Vec::new() };
    Ok(Pulled { bytes, signatures })
}

async fn signatures(registry: &Registry, of: &Digest) -> Result<Vec<String>, Exit> {
    let index = registry.referrers(of).await?;
    let mut texts = Vec::new();
    for signature in index.signatures().take(SIGNATURES_MAX) {
        let (_, artifact) = registry.artifact(signature.digest.as_str()).await?;
        // Whoever refers to something else vouches for something else.
        let refers = artifact.subject.as_ref().is_some_and(|subject| subject.digest == *of);
        if let Some(layer) = artifact.layers.first().filter(|_| refers) {
            let text = registry.blob(layer, artifact::SIGNATURE_MAX_BYTES).await?;
            texts.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(texts)
}

/// Puts an adapter under a tag, and its signature beside it. Returns the digest that names it for ever.
pub(crate) async fn push(
    reference: &Reference,
    access: Access,
    bytes: Vec<u8>,
    signature: Option<String>,
) -> Result<String, Exit> {
    let Some(tag) = reference.tag_to_push() else {
        return Err(Exit::failed(format!("{reference}: expected a tag, such as oci://host/maker/press:1.0.0")));
    };
    let failed = |cause: String| Exit::failed(format!("it is no adapter: {cause}"));
    let manifest = Manifest::read(&bytes).map_err(failed)?;
    let surface = Surface::read(&bytes).map_err(failed)?;
    let registry = Registry::for_push(reference, access).await?;
    let layer = Descriptor::of(artifact::WASM_LAYER, &bytes);
    let created = jiff::Timestamp::now().to_string();
    let config = artifact::config(&created, &layer, &surface, manifest.as_ref());
    let config_descriptor = Descriptor::of(artifact::WASM_CONFIG, &config);
    registry.put_blob(&layer, bytes).await?;
    registry.put_blob(&config_descriptor, config).await?;
    let adapter = Artifact::adapter(config_descriptor, layer, manifest.as_ref()).written()?;
    let subject = Descriptor::of(artifact::MANIFEST, &adapter);
    registry.put_manifest(tag, artifact::MANIFEST, adapter).await?;
    if let Some(signature) = signature {
        push_signature(&registry, &subject, signature.into_bytes()).await?;
    }
    Ok(subject.digest.as_str().to_owned())
}

async fn push_signature(registry: &Registry, subject: &Descriptor, signature: Vec<u8>) -> Result<(), Exit> {
    let empty = artifact::EMPTY_CONTENT.to_vec();
    let config = Descriptor::of(artifact::EMPTY, &empty);
    let layer = Descriptor::of(artifact::SIGNATURE, &signature);
    registry.put_blob(&config, empty).await?;
    registry.put_blob(&layer, signature).await?;
    let written = Artifact::signature(config, layer, subject.clone()).written()?;
    let descriptor = Descriptor {
        artifact_type: Some(artifact::SIGNATURE.to_owned()),
        ..Descriptor::of(artifact::MANIFEST, &written)
    };
    let knows_subjects = registry.put_manifest(descriptor.digest.as_str(), artifact::MANIFEST, written).await?;
    if knows_subjects {
        return Ok(());
    }
    // A registry that does not keep the index of what refers to a manifest leaves it to its clients, under a tag.
    let index = registry.index_by_tag(&subject.digest).await?.unwrap_or_else(Index::empty).with(descriptor);
    _ = registry.put_manifest(&subject.digest.as_tag(), artifact::INDEX, index.written()?).await?;
    Ok(())
}
