//! Compression of bodies: zstd and gzip, as the client takes them.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// Bodies below this are sent as they are.
const COMPRESS_MIN_BYTES: usize = 512;

/// Compresses a body in the encoding that `Accept-Encoding` likes best; gives its name.
pub(crate) fn encode(accepted: Option<&str>, body: &mut Vec<u8>) -> Option<&'static str> {
    if body.len() < COMPRESS_MIN_BYTES {
        return None;
    }
    let encoding = best(accepted?)?;
    let compressed = match encoding {
        "zstd" => ruzstd::encoding::compress_to_vec(&body[..], ruzstd::encoding::CompressionLevel::Fastest),
        _ => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).ok()?;
            encoder.finish().ok()?
        }
    };
    *body = compressed;
    Some(encoding)
}

fn best(accepted: &str) -> Option<&'static str> {
    let quality = |wanted: &str| {
        let of = |name: &str| {
            accepted.split(',').find_map(|part| {
                let (encoding, rest) = part.split_once(';').unwrap_or((part, ""));
                let quality = rest.trim().strip_prefix("q=").map_or(Some(1.0), |quality| quality.parse::<f32>().ok());
                encoding.trim().eq_ignore_ascii_case(name).then_some(quality.unwrap_or(0.0))
            })
        };
        of(wanted).or_else(|| of("*")).unwrap_or(0.0)
    };
    let (zstd, gzip) = (quality("zstd"), quality("gzip"));
    if zstd > 0.0 && zstd >= gzip {
        Some("zstd")
    } else if gzip > 0.0 {
        Some("gzip")
    } else {
        None
    }
}
