//! docker-registry: an OCI registry that others wrote, open, with a password, or with TLS.

use crate::certificates::Certificates;
use crate::lines::Lines;
use crate::programs::program;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Who may do what at the registry, and how it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryAccess {
    /// Everybody everything, without TLS.
    Open,
    /// Only `gateway` with [`OciRegistry::PASSWORD`], without TLS.
    Password,
    /// The same over TLS.
    TlsWithPassword,
}

/// A registry on a loopback port. Dropping it ends it.
#[derive(Debug)]
pub struct OciRegistry {
    _child: Child,
    _lines: Lines,
    folder: TempDir,
    certificates: Option<Certificates>,
    /// Its port.
    pub port: u16,
}

/// [`OciRegistry::PASSWORD`] as the registry keeps it, by bcrypt.
const PASSWORDS: &str = "gateway:$2y$05$2wagSiMamLXY88ObobQnbOV/cUdc3vAplz5dUfYQMUT3FygptC2u.\n";

impl OciRegistry {
    /// The password of the user `gateway`.
    pub const PASSWORD: &str = "s3cret-of-the-test";

    /// Starts a registry with nothing in it.
    ///
    /// # Errors
    /// Where docker-registry is missing or does not start.
    pub async fn start(access: RegistryAccess) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-registry-").tempdir()?;
        let certificates = match access {
            RegistryAccess::TlsWithPassword => Some(Certificates::make().await?),
            _ => None,
        };
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("passwords"), PASSWORDS)?;
        let tls = certificates.as_ref().map_or(String::new(), |made| {
            format!("  tls:\n    certificate: {}\n    key: {}\n", made.server().display(), made.server_key().display())
        });
        let auth = match access {
            RegistryAccess::Open => String::new(),
            _ => format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file("passwords").display()),
        };
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n{tls}{auth}",
            file("data").display()
        );
        std::fs::write(file("config.yml"), config)?;
        let mut command = Command::new(program("docker-registry")?);
        command.arg("serve").arg(file("config.yml")).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let lines = Lines::capture(child.stderr.take().context("stderr was asked for")?);
        let port = lines.wait_for("the registry's port", |line| {
            let (_, after) = line.split_once("listening on 127.0.0.1:")?;
            after.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
        });
        Ok(Self { port: port.await?, _child: child, _lines: lines, folder, certificates })
    }

    /// A reference in it, such as `acme/press:1.0.0`.
    #[must_use]
    pub fn reference(&self, name: &str) -> String {
        format!("oci://localhost:{}/{name}", self.port)
    }

    /// The authority of its certificate, where it has one.
    #[must_use]
    pub fn authority(&self) -> Option<PathBuf> {
        self.certificates.as_ref().map(Certificates::authority)
    }

    /// The tags of a repository, sorted.
    #[must_use]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let repositories = self.folder.path().join("data/docker/registry/v2/repositories");
        let tags = std::fs::read_dir(repositories.join(repository).join("_manifests/tags")).into_iter().flatten();
        let mut tags: Vec<String> = tags.flatten().map(|tag| tag.file_name().to_string_lossy().into_owned()).collect();
        tags.sort();
        tags
    }

    /// The file in which it keeps the bytes of a digest.
    #[must_use]
    pub fn file_of(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}
