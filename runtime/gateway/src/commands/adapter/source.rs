//! Where an adapter comes from: a file, an HTTPS server that has its signature beside it, or a registry.

use super::{name_of, read_text};
use crate::cli::{InstallArguments, RegistryArguments};
use crate::console;
use crate::exit::Exit;
use crate::registry::{self, Access, Credentials, Reference};
use bulkhead_bundle::{ADAPTER_FILE_MAX_BYTES, OfflineSet, read_adapter, signature_file};
use reqwest::{Client, StatusCode, Url};
use std::path::Path;
use std::time::Duration;

/// Longest time for the file and its signature together.
const FETCH_MAX: Duration = Duration::from_secs(300);
/// Longest wait for a server to be there.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// Most redirects that are followed; each must be HTTPS as well.
const REDIRECTS_MAX: usize = 3;
/// Longest signature that is fetched.
const SIGNATURE_MAX_BYTES: u64 = 4096;

/// An adapter as it came. Nobody has vouched for it yet, and nothing of it is parsed.
pub(super) struct Fetched {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// None, one, or those of several keys.
    pub(super) signatures: Vec<String>,
}

/// The file that the arguments name, and its signature where there is one.
pub(super) async fn fetch(arguments: &InstallArguments) -> Result<Fetched, Exit> {
    let source = &arguments.file;
    let own_signature = arguments.signature.as_deref().map(read_text).transpose()?;
    let shown = source.to_string_lossy();
    if shown.starts_with("http://") {
        return Err(Exit::failed(format!("{shown}: adapters are fetched over https:// only")));
    }
    let (name, bytes, signatures) = if is_set(source) {
        from_set(source, arguments.name.as_deref())?
    } else if Reference::is_one(&shown) {
        from_registry(&shown, &arguments.registry, own_signature.is_none()).await?
    } else if shown.starts_with("https://") {
        console::while_waiting("fetching the adapter", from_server(&shown, own_signature.is_none())).await?
    } else {
        let beside = Some(signature_file(source)).filter(|file| own_signature.is_none() && file.is_file());
        let signature = beside.map(|file| read_text(&file)).transpose()?;
        (name_of(source), read_adapter(source)?, signature.into_iter().collect())
    };
    let name = arguments.name.clone().map_or(name, Ok)?;
    Ok(Fetched { name, bytes, signatures: own_signature.map_or(signatures, |own| vec![own]) })
}

/// Whether a source is a set, a file that holds several adapters.
pub(super) fn is_set(source: &Path) -> bool {
    let is_elsewhere = source.to_str().is_some_and(|source| source.contains("://"));
    !is_elsewhere && source.extension().is_some_and(|end| end == "tar")
}

/// One adapter of a set: the one of this name, or the only one.
fn from_set(file: &Path, name: Option<&str>) -> Result<Came, Exit> {
    let mut set = OfflineSet::read(file)?;
    let names: Vec<String> = set.adapters.keys().cloned().collect();
    let only = Some(&names).filter(|names| names.len() == 1).and_then(|names| names.first());
    let name = name.or(only.map(String::as_str));
    let found = name.and_then(|name| set.adapters.remove_entry(name));
    let (name, (bytes, signature)) = found.ok_or_else(|| {
        let (file, names) = (file.display(), names.join(", "));
        Exit::failed(format!("{file} holds {names}: say with --name which one"))
    })?;
    Ok((Ok(name), bytes, signature.into_iter().collect()))
}

/// How the arguments say that a registry is reached.
pub(super) fn access(arguments: &RegistryArguments) -> Result<Access, Exit> {
    let credentials = match (&arguments.username, &arguments.password_env) {
        (Some(username), Some(variable)) => {
            let password = std::env::var(variable).map_err(|error| Exit::failed(format!("{variable}: {error}")))?;
            Some(Credentials { username: username.clone(), password })
        }
        _ => None,
    };
    Ok(Access { credentials, plain_http: arguments.plain_http })
}

async fn from_registry(source: &str, arguments: &RegistryArguments, with_signatures: bool) -> Result<Came, Exit> {
    let reference = Reference::parse(source).map_err(Exit::failed)?;
    let pulled = registry::pull(&reference, access(arguments)?, with_signatures);
    let pulled = console::while_waiting("fetching the adapter", pulled).await?;
    Ok((Ok(reference.name().to_owned()), pulled.bytes, pulled.signatures))
}

type Came = (Result<String, Exit>, Vec<u8>, Vec<String>);

async fn from_server(address: &str, with_signature: bool) -> Result<Came, Exit> {
    let url = Url::parse(address).map_err(|error| Exit::failed(format!("{address}: {error}")))?;
    let client = Client::builder()
        .https_only(true)
        .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
        .connect_timeout(CONNECT_MAX)
        .timeout(FETCH_MAX)
        .build()?;
    let bytes = get(&client, url.clone(), ADAPTER_FILE_MAX_BYTES).await?;
    let bytes = bytes.ok_or_else(|| Exit::failed(format!("{url}: there is no such file (404)")))?;
    let mut beside = url.clone();
    beside.set_path(&format!("{}.minisig", url.path()));
    let signature = match with_signature {
        true => get(&client, beside, SIGNATURE_MAX_BYTES).await?,
        false => None,
    };
    let signature = signature.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok((name_of(Path::new(url.path())), bytes, signature.into_iter().collect()))
}

/// What a server has at a URL, at most so many bytes. None: it has nothing there.
async fn get(client: &Client, url: Url, max: u64) -> Result<Option<Vec<u8>>, Exit> {
    let mut response = client.get(url.clone()).send().await?;
    match response.status() {
        StatusCode::NOT_FOUND => return Ok(None),
        status if !status.is_success() => return Err(Exit::failed(format!("{url}: the server answered {status}"))),
        _ => {}
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > max {
            return Err(Exit::failed(format!("{url}: it has more than {max} bytes")));
        }
    }
    Ok(Some(bytes))
}
