//! Whatever bytes come, reading them ends with a value or an error in words.
#![allow(clippy::unwrap_used)]

use bulkhead_bundle::{
    MANIFEST_SECTION, Manifest, PublicKey, SecretKey, Surface, Trust, append_section, key_pair, settings_schema_in,
};
use proptest::prelude::*;
use std::path::Path;

fn component() -> Vec<u8> {
    let mut bytes = wat::parse_str(
        r#"(component (import "bulkhead:adapter/modbus@0.1.0" (instance $m)) (core module (func))
            (export "bulkhead:adapter/poller@0.1.0" (instance $m)))"#,
    )
    .unwrap();
    append_section(&mut bytes, MANIFEST_SECTION, br#"{"format":1,"id":"a/b","version":"1.0.0"}"#);
    bytes
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        _ = Surface::read(&bytes);
        _ = Manifest::read(&bytes);
        _ = settings_schema_in(&bytes);
    }

    #[test]
    fn a_component_with_a_changed_byte_or_cut_off_is_read_to_an_end(at in 0usize..300, byte in any::<u8>(), cut in 0usize..300) {
        let mut bytes = component();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut % bytes.len());
        _ = Surface::read(&bytes);
        _ = Manifest::read(&bytes);
    }

    #[test]
    fn no_text_but_the_signature_vouches(at in 0usize..400, byte in 0x20u8..0x7f) {
        let (secret, public) = key_pair(None).unwrap();
        let signature = SecretKey::parse(&secret, None).unwrap().sign(b"bytes", "press 1.0.0").unwrap();
        let mut trust = Trust { require_signed: true, ..Trust::default() };
        trust.keys.insert("acme".into(), PublicKey::parse(&public).unwrap());
        let judge = |text: &str| trust.judge("press", Path::new("press.wasm"), b"bytes", Some(text));
        prop_assert!(judge(&signature).is_ok());
        let mut altered = signature.clone().into_bytes();
        let at = at % altered.len();
        altered[at] = byte;
        let altered = String::from_utf8(altered).unwrap();
        // The first line is a comment that nobody signs; line ends are no part of what is signed.
        let signed = |text: &str| text.lines().skip(1).map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        if signed(&altered) != signed(&signature) {
            prop_assert!(judge(&altered).is_err(), "{altered}");
        }
    }
}
