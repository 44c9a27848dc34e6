//! Certificates for brokers with TLS, made by openssl for one test.

use crate::programs::program;
use crate::wait::within;
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

/// An authority and a server certificate for `localhost` and 127.0.0.1, as PEM files. Gone when dropped.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Errors
    /// Where openssl is missing or refuses.
    pub async fn make() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-certificates-").tempdir()?;
        std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1")?;
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        for arguments in [
            format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"),
            format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem"
                .to_owned(),
        ] {
            openssl(&arguments, folder.path()).await?;
        }
        Ok(Self { folder })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The server's certificate.
    #[must_use]
    pub fn server(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// The server's key.
    #[must_use]
    pub fn server_key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }
}

async fn openssl(arguments: &str, folder: &Path) -> Result<()> {
    let mut command = Command::new(program("openssl")?);
    command.args(arguments.split(' ')).current_dir(folder).kill_on_drop(true);
    let output = within("openssl", command.output()).await??;
    ensure!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
