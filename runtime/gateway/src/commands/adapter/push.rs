//! `bulkhead adapter push`: an adapter into a registry, with the signature beside it.

use super::source::access;
use super::{name_of, read_text};
use crate::cli::PushArguments;
use crate::console;
use crate::exit::Exit;
use crate::registry::{self, Reference};
use bulkhead_bundle::{read_adapter, signature_file};
use serde_json::json;

pub(super) async fn push(arguments: &PushArguments) -> Result<(), Exit> {
    let reference = Reference::parse(&arguments.to).map_err(Exit::failed)?;
    name_of(&arguments.file)?;
    let bytes = read_adapter(&arguments.file)?;
    let signature = Some(signature_file(&arguments.file)).filter(|file| file.is_file());
    let signature = signature.map(|file| read_text(&file)).transpose()?;
    let is_signed = signature.is_some();
    let pushed = registry::push(&reference, access(&arguments.registry)?, bytes, signature);
    let digest = console::while_waiting("uploading the adapter", pushed).await?;
    if arguments.json {
        let told = json!({ "reference": reference.to_string(), "digest": digest, "signed": is_signed });
        console::say_json(&told)?;
    } else {
        let signed = if is_signed { "with its signature" } else { "without a signature" };
        console::say(&format!("pushed {reference} {signed}"));
        console::say(&format!("  {digest}"));
    }
    Ok(())
}
