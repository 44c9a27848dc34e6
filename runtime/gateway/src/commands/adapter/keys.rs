//! `bulkhead adapter key` and `sign`: an author's keys and signatures.

use super::{name_of, read_text};
use crate::cli::{KeyArguments, SignArguments};
use crate::console;
use crate::exit::Exit;
use bulkhead_author::{PLACEHOLDER_AUTHOR, PLACEHOLDER_MAKER};
use bulkhead_bundle::{Manifest, PublicKey, SecretKey, key_pair, read_adapter, sha256_hex, signature_file};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub(super) fn make(arguments: &KeyArguments) -> Result<(), Exit> {
    let password = password(arguments.password_env.as_deref())?;
    let (secret, public) = key_pair(password.as_deref())?;
    let [secret_file, public_file] = ["key", "pub"].map(|end| with_end(&arguments.name, end));
    if public_file.exists() {
        return Err(Exit::failed(format!("{} is there already; choose another name", public_file.display())));
    }
    write_new(&secret_file, &secret, 0o600)?;
    write_new(&public_file, &public, 0o644)?;
    let name = arguments.name.file_name().unwrap_or_default().to_string_lossy();
    let key = public.lines().last().unwrap_or_default();
    console::say_lines(&format!(
        "{} signs: keep it to yourself\n{} verifies; operators put it into their config:\n\n[security.trusted_keys]\n{name} = \"{key}\"",
        secret_file.display(),
        public_file.display()
    ));
    Ok(())
}

pub(super) fn sign(arguments: &SignArguments) -> Result<(), Exit> {
    let password = password(arguments.password_env.as_deref())?;
    let key = secret_key(&arguments.key, password.as_deref())?;
    for file in &arguments.files {
        let name = name_of(file)?;
        let bytes = read_adapter(file)?;
        let manifest = Manifest::read(&bytes);
        let manifest = manifest.map_err(|cause| Exit::failed(format!("{} is no adapter: {cause}", file.display())))?;
        if let Some(manifest) = &manifest {
            for what in placeholders(manifest) {
                console::note(&format!("warning: {}: {what}", file.display()));
            }
        }
        let what =
            manifest.map_or_else(|| format!("{name} without a manifest"), |one| format!("{} {}", one.id, one.version));
        let signature = key.sign(&bytes, &format!("{what} sha256:{}", sha256_hex(&bytes)))?;
        let beside = signature_file(file);
        std::fs::write(&beside, signature)
            .map_err(|error| Exit::failed(format!("{} cannot be written: {error}", beside.display())))?;
        console::say(&format!("{}: {what}, key {}", beside.display(), key.public_key()?.id()));
    }
    Ok(())
}

/// The key in a file; the other file of the pair is named for what it is.
fn secret_key(file: &Path, password: Option<&str>) -> Result<SecretKey, Exit> {
    let text = read_text(file)?;
    if PublicKey::parse(&text).is_ok() {
        let secret = file.with_extension("key");
        let cause = format!("{} is a public key, which only verifies; give {}", file.display(), secret.display());
        return Err(Exit::failed(cause));
    }
    Ok(SecretKey::parse(&text, password)?)
}

/// What a new project's manifest left for its author to say, and still says.
fn placeholders(manifest: &Manifest) -> Vec<String> {
    let maker = manifest.id.split('/').next().filter(|maker| *maker == PLACEHOLDER_MAKER);
    let author = Some(&manifest.author).filter(|author| *author == PLACEHOLDER_AUTHOR);
    let build = "say it in adapter.toml, and build and sign again";
    let maker = maker.map(|maker| {
        format!(
            "the maker in its id is still {maker:?}: others' adapters may have the id {:?}, too; {build}",
            manifest.id
        )
    });
    let author = author.map(|author| format!("its author is still {author:?}; {build}"));
    maker.into_iter().chain(author).collect()
}

fn password(variable: Option<&str>) -> Result<Option<String>, Exit> {
    let Some(variable) = variable else { return Ok(None) };
    let unset =
        |_| Exit::failed(format!("the environment variable {variable}, which --password-env names, is not set"));
    std::env::var(variable).map(Some).map_err(unset)
}

fn with_end(name: &Path, end: &str) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(".");
    path.push(end);
    path.into()
}

/// Writes a file that must not be there, so that no key is lost.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Exit> {
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = open.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| Exit::failed(format!("{} cannot be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_bundle::ManifestSource;

    #[test]
    fn what_a_new_project_left_to_say_is_named() {
        let said = |id: &str, author: &str| {
            let source = format!(
                "id = {id:?}\nauthor = {author:?}\nversion = \"1.0.0\"\ndescription = \"x\"\nlicence = \"MIT\"\nroles = [\"poller\"]\n"
            );
            placeholders(&ManifestSource::parse(&source).unwrap().manifest(Default::default()).unwrap())
        };
        assert_eq!(said("acme/press", "Acme"), Vec::<String>::new());
        assert_eq!(said("acme/example", "Acme"), Vec::<String>::new());
        let both = said("example/press", "Your name");
        assert!(both.len() == 2 && both[0].contains("others' adapters may have the id \"example/press\""), "{both:?}");
        assert!(both[1].contains("its author is still \"Your name\""), "{both:?}");
    }

    #[test]
    fn a_public_key_is_named_as_one_and_the_secret_key_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, public) = key_pair(None).unwrap();
        let [secret_file, public_file] = ["key", "pub"].map(|end| folder.path().join("acme").with_extension(end));
        std::fs::write(&secret_file, secret).unwrap();
        std::fs::write(&public_file, public).unwrap();
        assert!(secret_key(&secret_file, None).is_ok());
        let Err(Exit::Failed(refusal)) = secret_key(&public_file, None) else { panic!("a public key does not sign") };
        let end = format!("acme.pub is a public key, which only verifies; give {}", secret_file.display());
        assert!(refusal.ends_with(&end), "{refusal}");
    }
}
