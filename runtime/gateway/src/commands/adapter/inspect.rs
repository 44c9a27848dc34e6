//! `bulkhead adapter inspect`: what a file says it is, what it really imports and exports, and whether it is vouched for.

use super::config_block::config_block;
use super::name_of;
use crate::cli::InspectArguments;
use crate::console;
use crate::exit::Exit;
use bulkhead_bundle::{BundleError, signature_file};
use bulkhead_bundle::{Manifest, Surface, Trust, Vouched, is_capability, read_adapter, settings_schema_in, sha256_hex};
use bulkhead_config::AnyAdapter;
use bulkhead_model::printable;
use serde_json::{Value as Json, json};
use std::fmt::Write;

pub(crate) fn inspect(arguments: &InspectArguments) -> Result<(), Exit> {
    let name = name_of(&arguments.file)?;
    let trust = match &arguments.config {
        Some(path) => {
            let text = super::super::shown_if_wrong(bulkhead_config::read_text(path))?;
            let config = super::super::checked(bulkhead_config::parse(&text, path, &AnyAdapter))?.config;
            Some(bulkhead_engine::trust(&config)?)
        }
        None => None,
    };
    // Judged first, and shown in any case: whoever asks what a file is may well doubt it.
    let judgement = trust.as_ref().map(|trust| trust.read(&name, &arguments.file).map(|(_, vouched)| vouched));
    let bytes = read_adapter(&arguments.file)?;
    let signed = signature_file(&arguments.file).is_file();
    let found = Found::read(name, &bytes, signed)
        .map_err(|cause| Exit::failed(format!("{} is no adapter: {cause}", arguments.file.display())))?;
    match arguments.json {
        true => console::say_json(&found.json(judgement.as_ref()))?,
        false => console::say_lines(found.text(trust.as_ref(), judgement.as_ref()).trim_end()),
    }
    match judgement {
        Some(Err(refusal)) => Err(refusal.into()),
        _ => Ok(()),
    }
}

type Judgement = Result<Vouched, BundleError>;

/// What was found in a file.
struct Found {
    name: String,
    sha256: String,
    bytes: usize,
    signed: bool,
    manifest: Option<Manifest>,
    surface: Surface,
    schema: Option<Json>,
    /// What the manifest says and the component does not bear out.
    contradiction: Option<String>,
}

impl Found {
    fn read(name: String, bytes: &[u8], signed: bool) -> Result<Self, String> {
        let surface = Surface::read(bytes)?;
        let manifest = Manifest::read(bytes)?;
        let contradiction = manifest.as_ref().and_then(|manifest| manifest.check_against(&surface).err());
        let schema = settings_schema_in(bytes)?;
        Ok(Self {
            name,
            sha256: sha256_hex(bytes),
            bytes: bytes.len(),
            signed,
            manifest,
            surface,
            schema,
            contradiction,
        })
    }

    fn roles(&self) -> Vec<String> {
        self.surface.roles().into_iter().collect()
    }

    /// Each capability that needs a grant, what grants it, and the adapter's reason.
    fn asks(&self) -> Vec<(String, &'static str, Option<&str>)> {
        let reason = |name: &str| self.manifest.as_ref().and_then(|one| one.asks.get(name)).map(String::as_str);
        let asked = self.surface.capabilities().into_iter().filter(|name| is_capability(name));
        asked.map(|name| (name.clone(), granted_by(&name), reason(&name))).collect()
    }

    fn free(&self) -> Vec<String> {
        self.surface.capabilities().into_iter().filter(|name| !is_capability(name)).collect()
    }

    fn config(&self) -> String {
        config_block(&self.name, &self.roles(), self.schema.as_ref())
    }

    fn text(&self, trust: Option<&Trust>, judgement: Option<&Judgement>) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| _ = writeln!(text, "{label:<13}{}", printable(value));
        match &self.manifest {
            Some(manifest) => {
                line("id", &manifest.id);
                line("version", &manifest.version.to_string());
                line("what it is", &manifest.description);
                line("author", &manifest.author);
                line("licence", &manifest.licence);
                line("speaks", &format!("bulkhead:adapter@{}", manifest.wit));
            }
            None => line("id", "none: the file has no manifest"),
        }
        line("sha-256", &self.sha256);
        line("size", &format!("{} bytes", self.bytes));
        line("signature", &self.signature(trust, judgement));
        let roles = self.roles();
        line("roles", &if roles.is_empty() { "none in this version".to_owned() } else { roles.join(", ") });
        if let Some(contradiction) = &self.contradiction {
            line("WARNING", &format!("its manifest is not borne out: {contradiction}"));
        }
        text.push_str("\nIt asks for\n");
        let asks = self.asks();
        for (name, grant, reason) in &asks {
            _ = writeln!(
                text,
                "  {name:<9}{}\n           needs {grant}",
                printable(reason.unwrap_or("without a reason"))
            );
        }
        if asks.is_empty() {
            text.push_str("  nothing that needs a grant\n");
        }
        if !self.free().is_empty() {
            _ = writeln!(text, "  needs no grant: {}", self.free().join(", "));
        }
        let others = self.surface.other_imports();
        if !others.is_empty() {
            _ = writeln!(text, "  from elsewhere: {}", printable(&others.join(", ")));
        }
        if let Some(manifest) = self.manifest.as_ref().filter(|manifest| !manifest.points.is_empty()) {
            text.push_str("\nPoints whatever its settings are\n");
            for point in &manifest.points {
                let unit = point.unit.as_deref().map(|unit| format!(" [{}]", printable(unit))).unwrap_or_default();
                let means = printable(point.description.as_deref().unwrap_or_default());
                _ = writeln!(text, "  {:<20}{}{unit}  {means}", printable(&point.name), point.kind);
            }
        }
        let settings = if self.schema.is_some() { "" } else { " (it carries no schema of its settings)" };
        _ = write!(text, "\nA connection with the least grants{settings}\n\n{}", self.config());
        text
    }

    fn signature(&self, trust: Option<&Trust>, judgement: Option<&Judgement>) -> String {
        match (judgement, self.signed) {
            (Some(Ok(Vouched { signed_by: Some(key), .. })), _) => format!("good, by the trusted key {key}"),
            (Some(Err(refusal)), _) => format!("REFUSED: {refusal}"),
            (_, false) => "none".into(),
            (Some(Ok(_)), true) => "there is one, by a key that is none of security.trusted_keys".into(),
            (None, true) if trust.is_none() => "there is one; --config says whose keys to verify it with".into(),
            (None, true) => "there is one".into(),
        }
    }

    fn json(&self, judgement: Option<&Judgement>) -> Json {
        let asks = self.asks();
        let asks: Vec<Json> = asks
            .iter()
            .map(|(name, grant, reason)| json!({ "capability": name, "needs": grant, "reason": reason }))
            .collect();
        json!({
            "name": self.name,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "signed": self.signed,
            "judgement": judgement.map(|judgement| match judgement {
                Ok(vouched) => json!({ "admitted": true, "signed_by": vouched.signed_by, "comment": vouched.comment }),
                Err(refusal) => json!({ "admitted": false, "reason": refusal.to_string() }),
            }),
            "manifest": self.manifest,
            "contradiction": self.contradiction,
            "roles": self.roles(),
            "asks": asks,
            "imports": self.surface.imports,
            "exports": self.surface.exports,
            "settings_schema": self.schema,
            "config": self.config(),
        })
    }
}

fn granted_by(capability: &str) -> &'static str {
    match capability {
        "modbus" => "a transport of kind modbus-tcp or modbus-rtu",
        "serial" => "a transport of kind serial or tcp",
        "tcp" => "a transport of kind tcp",
        "mqtt" => "a transport of kind mqtt",
        "http" => "a transport of kind http",
        _ => "",
    }
}
