//! Compression of answers, whole or piece by piece: zstd and gzip, as the client takes them.

use crate::limits::COMPRESS_MIN_BYTES;
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write;

/// An encoding on its way.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    /// Every piece is a frame of its own; frames one after the other are a body, too (RFC 8878 §3.1).
    Zstd,
}

impl Encoder {
    /// The encoding that `Accept-Encoding` likes best; none: as it is.
    pub(super) fn accepted(accept_encoding: Option<&str>) -> Option<Self> {
        match best(accept_encoding?)? {
            "zstd" => Some(Self::Zstd),
            _ => Some(Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast()))),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Takes a piece and gives what is ready.
    pub(super) fn piece(&mut self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Zstd if bytes.is_empty() => Ok(Vec::new()),
            Self::Zstd => Ok(compress_to_vec(bytes, CompressionLevel::Fastest)),
            Self::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                encoder.flush()?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// Takes the last piece and gives the rest.
    pub(super) fn last(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Zstd if bytes.is_empty() => Ok(Vec::new()),
            Self::Zstd => Ok(compress_to_vec(bytes, CompressionLevel::Fastest)),
            Self::Gzip(mut encoder) => {
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

/// Whether a whole body is worth it.
pub(super) fn is_worth(body: &[u8]) -> bool {
    body.len() >= COMPRESS_MIN_BYTES
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_client_says_which_and_whether() {
        let name = |accepted| best(accepted);
        assert_eq!(name("gzip, deflate, br"), Some("gzip"));
        assert_eq!(name("gzip;q=0.5, zstd"), Some("zstd"));
        assert_eq!(name("gzip, zstd;q=0.5"), Some("gzip"));
        assert_eq!(name("identity"), None);
        assert_eq!(name("gzip;q=0, *"), Some("zstd"));
        assert_eq!(name("gzip;q=0, zstd;q=0"), None);
    }

    #[test]
    fn pieces_make_one_body() {
        let whole = b"one two three".repeat(1_000);
        for accepted in ["gzip", "zstd"] {
            let mut encoder = Encoder::accepted(Some(accepted)).unwrap();
            let mut body = encoder.piece(&whole[..5_000]).unwrap();
            body.extend(encoder.last(&whole[5_000..]).unwrap());
            let mut read = Vec::new();
            if accepted == "gzip" {
                flate2::read::MultiGzDecoder::new(&body[..]).read_to_end(&mut read).unwrap();
            } else {
                let mut rest = &body[..];
                while !rest.is_empty() {
                    ruzstd::decoding::StreamingDecoder::new(&mut rest).unwrap().read_to_end(&mut read).unwrap();
                }
            }
            assert!(read == whole && body.len() < whole.len(), "{accepted}");
        }
    }
}
