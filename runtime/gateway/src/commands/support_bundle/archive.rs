//! The file of a support bundle: a compressed tar whose texts have all been through the same cover.

use crate::exit::Exit;
use bulkhead_config::Redacted;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Longest text of a bundle; of a longer one only the end is put in.
const TEXT_MAX_BYTES: usize = 8 * 1024 * 1024;

/// A bundle that is being written.
pub(super) struct Archive<'r> {
    tar: tar::Builder<GzEncoder<File>>,
    folder: String,
    now_s: u64,
    secrets: &'r Redacted,
    /// Name and length of each text so far.
    pub(super) written: Vec<(String, usize)>,
}

impl<'r> Archive<'r> {
    /// A new file, readable by its owner only. Its texts are in a folder of that name.
    pub(super) fn create(path: &Path, folder: &str, now_s: u64, secrets: &'r Redacted) -> Result<Self, Exit> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| Exit::failed(format!("{} cannot be made: {error}", path.display())))?;
        let tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        Ok(Self { tar, folder: folder.to_owned(), now_s, secrets, written: Vec::new() })
    }

    /// Puts a text in, with the secrets of the config covered.
    pub(super) fn add(&mut self, name: &str, text: &str) -> Result<(), Exit> {
        let text = shortened(&self.secrets.cover(text));
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.now_s);
        self.tar.append_data(&mut header, format!("{}/{name}", self.folder), text.as_bytes())?;
        self.written.push((name.to_owned(), text.len()));
        Ok(())
    }

    /// Ends the file; it is on the medium when this returns.
    pub(super) fn finish(self) -> Result<(), Exit> {
        let mut file = self.tar.into_inner()?.finish()?;
        file.flush()?;
        Ok(file.sync_all()?)
    }
}

/// The end of a text that is too long, from a line's beginning on.
fn shortened(text: &str) -> String {
    if text.len() <= TEXT_MAX_BYTES {
        return text.to_owned();
    }
    let mut start = text.len() - TEXT_MAX_BYTES;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let end = &text[start..];
    let whole_lines = end.split_once('\n').map_or(end, |(_, rest)| rest);
    format!("… {} bytes before this were left out\n{whole_lines}", text.len() - whole_lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_text_that_is_too_long_the_end_stays() {
        assert_eq!(shortened("short\n"), "short\n");
        let long = "ä line\n".repeat(TEXT_MAX_BYTES / 7);
        let shown = shortened(&long);
        assert!(shown.starts_with("… ") && shown.ends_with("ä line\n") && shown.len() <= TEXT_MAX_BYTES + 64);
        assert!(shown.lines().skip(1).all(|line| line == "ä line"));
    }
}
