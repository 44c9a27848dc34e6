//! Compression of bodies: zstd and gzip, as the client takes them.

use bulkhead_odata::coding::{Coding, WORTH_MIN_BYTES};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// Compresses a body in the coding that `Accept-Encoding` likes best; gives its name.
pub(crate) fn encode(accepted: Option<&str>, body: &mut Vec<u8>) -> Option<&'static str> {
    if body.len() < WORTH_MIN_BYTES {
        return None;
    }
    let coding = Coding::preferred(accepted?)?;
    let compressed = match coding {
        Coding::Zstd => ruzstd::encoding::compress_to_vec(&body[..], ruzstd::encoding::CompressionLevel::Fastest),
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).ok()?;
            encoder.finish().ok()?
        }
    };
    *body = compressed;
    Some(coding.name())
}
