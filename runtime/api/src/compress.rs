//! Compression of answers, whole or piece by piece: zstd and gzip, as the client takes them.

use bulkhead_odata::coding::{Coding, WORTH_MIN_BYTES};
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write;

/// An encoding on its way.
pub(crate) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    /// Every piece is a frame of its own; frames one after the other are a body, too (RFC 8878 §3.1).
    Zstd,
}

impl Encoder {
    /// The encoding that `Accept-Encoding` likes best; none: as it is.
    pub(crate) fn accepted(accept_encoding: Option<&str>) -> Option<Self> {
        Some(match Coding::preferred(accept_encoding?)? {
            Coding::Zstd => Self::Zstd,
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => Coding::Gzip.name(),
            Self::Zstd => Coding::Zstd.name(),
        }
    }

    /// Takes a piece and gives what is ready.
    pub(crate) fn piece(&mut self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
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
    pub(crate) fn last(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
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
pub(crate) fn is_worth(body: &[u8]) -> bool {
    body.len() >= WORTH_MIN_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

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
