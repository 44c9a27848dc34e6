//! The folder of adapters through installs, upgrades, and stops in between.

use super::*;
use crate::manifest::tests::manifest;
use crate::probation::Seen;
use crate::{MANIFEST_SECTION, PublicKey, SecretKey, append_section, key_pair};

pub(crate) fn accepted(version: &str) -> Accepted {
    let vouched = Vouched { sha256: String::new(), signed_by: None, comment: None };
    Accepted::of(Some(&manifest(version)), &vouched)
}

fn component(version: &str) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    append_section(&mut bytes, MANIFEST_SECTION, &serde_json::to_vec(&manifest(version)).unwrap());
    bytes
}

struct Site {
    _dir: tempfile::TempDir,
    adapters: PathBuf,
    data: PathBuf,
    secret: SecretKey,
    key: PublicKey,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (secret, key) = key_pair(None).unwrap();
        Self {
            adapters: dir.path().join("adapters"),
            data: dir.path().join("data"),
            _dir: dir,
            secret: SecretKey::parse(&secret, None).unwrap(),
            key: PublicKey::parse(&key).unwrap(),
        }
    }

    fn trust(&self) -> Trust {
        Trust {
            require_signed: true,
            keys: BTreeMap::from([("acme".into(), self.key.clone())]),
            pins: BTreeMap::new(),
            record: Some(self.data.clone()),
        }
    }

    fn installing(&self, version: &str, allow_rollback: bool) -> Result<Installing, BundleError> {
        let bytes = component(version);
        let signature = self.secret.sign(&bytes, version).unwrap();
        Installing::judged("press", bytes, Some(signature), &self.trust(), allow_rollback)
    }

    fn open(&self) -> Installed {
        Installed::open(&self.adapters, &self.data).unwrap()
    }

    /// The version that a gateway would run, judged by its signature.
    fn running(&self) -> String {
        let (bytes, vouched) = self.trust().read("press", &self.adapters.join("press.wasm")).unwrap();
        assert_eq!(vouched.signed_by.as_deref(), Some("acme"));
        Manifest::read(&bytes).unwrap().unwrap().version.to_string()
    }
}

#[test]
fn an_older_version_is_refused_unless_it_is_asked_for() {
    let site = Site::new();
    site.open().install(&site.installing("1.2.0", false).unwrap()).unwrap();
    let error = site.installing("1.1.9", false).unwrap_err();
    assert!(error.to_string().contains("1.1.9, older than 1.2.0"), "{error}");
    // Put there by hand, with a good signature: the gateway refuses it, too.
    let old = component("1.0.0");
    fs::write(site.adapters.join("press.wasm"), &old).unwrap();
    fs::write(site.adapters.join("press.wasm.minisig"), site.secret.sign(&old, "old").unwrap()).unwrap();
    let refused = site.trust().read("press", &site.adapters.join("press.wasm")).unwrap_err();
    assert!(matches!(refused, BundleError::Rollback { .. }), "{refused}");
    site.open().install(&site.installing("1.1.9", true).unwrap()).unwrap();
    assert_eq!(site.running(), "1.1.9");
}

#[test]
fn another_adapter_under_the_same_name_is_refused() {
    let mut other = manifest("9.0.0");
    other.id = "evil/press".into();
    let error = accepted("1.0.0").admits("press", Some(&other)).unwrap_err();
    assert!(matches!(error, BundleError::AnotherId { .. }));
    assert!(matches!(accepted("1.0.0").admits("press", None), Err(BundleError::AnotherId { .. })));
}

#[test]
fn an_upgrade_is_kept_or_the_previous_version_comes_back_with_its_signature() {
    let site = Site::new();
    let folder = site.open();
    assert!(matches!(
        folder.begin_upgrade(&site.installing("1.0.0", false).unwrap(), None),
        Err(BundleError::NotInstalled { .. })
    ));
    folder.install(&site.installing("1.0.0", false).unwrap()).unwrap();
    folder.begin_upgrade(&site.installing("1.1.0", false).unwrap(), None).unwrap();
    assert_eq!(site.running(), "1.1.0");
    assert_eq!(Installed::pending_in(&site.data).unwrap()[0].name, "press");
    folder.go_back("press", "it fails").unwrap();
    let ended = Installed::ended_of(&site.data, "press").unwrap().unwrap();
    assert_eq!((ended.is_kept, ended.why.as_str()), (false, "it fails"));
    assert_eq!(site.running(), "1.0.0");
    assert_eq!(Installed::pending_in(&site.data).unwrap(), []);
    // What failed was never accepted: it may be tried again, and so may what lies between.
    folder.begin_upgrade(&site.installing("1.0.5", false).unwrap(), None).unwrap();
    folder.keep("press", "well").unwrap();
    assert!(Installed::ended_of(&site.data, "press").unwrap().unwrap().is_kept);
    assert_eq!(site.running(), "1.0.5");
    assert!(site.installing("1.0.4", false).is_err());
}

#[test]
fn an_upgrade_that_nobody_ended_is_taken_back() {
    let site = Site::new();
    let folder = site.open();
    folder.install(&site.installing("1.0.0", false).unwrap()).unwrap();
    folder.begin_upgrade(&site.installing("1.1.0", false).unwrap(), None).unwrap();
    drop(folder);
    assert_eq!(site.open().settle_interrupted("stopped").unwrap(), ["press"]);
    assert_eq!(site.running(), "1.0.0");
    assert_eq!(site.open().settle_interrupted("stopped").unwrap(), Vec::<String>::new());
}

#[test]
fn an_older_version_that_was_asked_for_runs_on_its_probation_and_no_other() {
    let site = Site::new();
    let folder = site.open();
    folder.install(&site.installing("1.2.0", false).unwrap()).unwrap();
    folder.begin_upgrade(&site.installing("1.1.0", true).unwrap(), None).unwrap();
    assert_eq!(site.running(), "1.1.0");
    let other = component("1.1.5");
    fs::write(site.adapters.join("press.wasm"), &other).unwrap();
    fs::write(site.adapters.join("press.wasm.minisig"), site.secret.sign(&other, "other").unwrap()).unwrap();
    let refused = site.trust().read("press", &site.adapters.join("press.wasm")).unwrap_err();
    assert!(matches!(refused, BundleError::Rollback { .. }), "{refused}");
    assert!(refused.to_string().contains("`bulkhead adapter upgrade --allow-rollback`"), "{refused}");
    folder.go_back("press", "").unwrap();
    assert_eq!(site.running(), "1.2.0");
}

#[test]
fn a_second_upgrade_during_a_probation_leads_back_to_what_was_there_before_the_first() {
    let site = Site::new();
    let folder = site.open();
    let before = |state: &str| BTreeMap::from([("line".to_owned(), Seen { state: state.into(), ..Seen::default() })]);
    let probation = |state| Some(Probation { seconds: 9, before: before(state) });
    folder.install(&site.installing("1.0.0", false).unwrap()).unwrap();
    folder.begin_upgrade(&site.installing("1.1.0", false).unwrap(), probation("running")).unwrap();
    folder.begin_upgrade(&site.installing("1.2.0", false).unwrap(), probation("failed")).unwrap();
    assert_eq!(site.running(), "1.2.0");
    let note = folder.pending("press").unwrap().unwrap();
    assert_eq!(note.probation.unwrap().before, before("running"), "held against the version that was good");
    folder.go_back("press", "").unwrap();
    assert_eq!(site.running(), "1.0.0");
}

#[test]
fn a_stop_within_keep_leaves_what_was_kept() {
    let site = Site::new();
    let folder = site.open();
    folder.install(&site.installing("1.0.0", false).unwrap()).unwrap();
    let new = site.installing("1.1.0", false).unwrap();
    folder.begin_upgrade(&new, None).unwrap();
    // The first step of `keep`, and then the power goes.
    folder.record("press", Accepted::of(new.manifest.as_ref(), &new.vouched)).unwrap();
    assert_eq!(folder.settle_interrupted("stopped").unwrap(), Vec::<String>::new());
    assert_eq!((site.running().as_str(), folder.pending("press").unwrap()), ("1.1.0", None));
    assert!(Installed::ended_of(&site.data, "press").unwrap().unwrap().is_kept);
    // It was accepted before, and a stop came before its file was in place: nothing was kept.
    folder.begin_upgrade(&site.installing("1.2.0", false).unwrap(), None).unwrap();
    folder.keep("press", "").unwrap();
    folder.begin_upgrade(&site.installing("1.2.0", false).unwrap(), None).unwrap();
    fs::write(site.adapters.join("press.wasm"), component("1.1.9")).unwrap();
    assert_eq!(folder.settle_interrupted("stopped").unwrap(), ["press"]);
    assert_eq!(site.running(), "1.2.0");
}

#[test]
fn whatever_file_a_stop_left_behind_one_signature_fits() {
    let site = Site::new();
    let folder = site.open();
    folder.install(&site.installing("1.0.0", false).unwrap()).unwrap();
    // The two moments inside of `put`: the next signature is there, then the file as well.
    let next = site.installing("1.1.0", false).unwrap();
    let path = site.adapters.join("press.wasm");
    fs::write(site.adapters.join("press.wasm.minisig.next"), next.signature.as_ref().unwrap()).unwrap();
    assert_eq!(site.running(), "1.0.0");
    fs::write(&path, next.bytes()).unwrap();
    assert_eq!(site.running(), "1.1.0");
}

#[test]
fn what_was_removed_leaves_its_version_behind_and_one_command_works_at_a_time() {
    let site = Site::new();
    let folder = site.open();
    assert!(matches!(Installed::open(&site.adapters, &site.data), Err(BundleError::Busy { .. })));
    folder.install(&site.installing("2.0.0", false).unwrap()).unwrap();
    assert_eq!(Installed::names_in(&site.adapters), ["press"]);
    folder.remove("press").unwrap();
    assert_eq!(Installed::names_in(&site.adapters), Vec::<String>::new());
    assert!(matches!(folder.remove("press"), Err(BundleError::NotInstalled { .. })));
    assert!(matches!(site.installing("1.0.0", false), Err(BundleError::Rollback { .. })));
    assert!(matches!(folder.remove("../press"), Err(BundleError::BadName { .. })));
}
