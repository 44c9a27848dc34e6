//! Looking into a WAL before SQLite does. SQLite ends a WAL in silence at the first frame whose checksum does not hold: right
//! for a commit that a power cut tore, wrong for a flipped bit with acknowledged commits behind it. Here the two are told
//! apart, and the frames behind the damage are found for salvage.
//!
//! The format is SQLite's: a header of 32 bytes, then frames of 24 bytes and a page each; numbers big-endian; two running
//! sums over the header and all frames; a frame belongs to the WAL's present round if it repeats the header's two salts.

use crate::sqlite::PAGE_BYTES;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Bytes of a frame's page.
const FRAME_PAGE_BYTES: usize = PAGE_BYTES as usize;
/// The first four bytes; the last bit says whether sums are taken over big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// A frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// The number of its page.
    pub(crate) page: u32,
    /// Where in the file its page begins.
    pub(crate) at: u64,
    /// It ends a commit.
    commit: bool,
    /// It is of the present round.
    present: bool,
    /// The running sums hold up to it.
    chained: bool,
}

/// What a WAL is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wal {
    frames: Vec<Frame>,
    header_is_sound: bool,
}

impl Wal {
    /// Reads a WAL; an absent one is empty.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Ok(file) => Self::parse(BufReader::with_capacity(64 * 1024, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { frames: Vec::new(), header_is_sound: true })
            }
            Err(error) => Err(error),
        }
    }

    fn parse(mut input: impl Read) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        if !fill(&mut input, &mut header)? {
            return Ok(Self { frames: Vec::new(), header_is_sound: true });
        }
        let mut sums = Sums { little_endian: word(&header, 0) == MAGIC, first: 0, second: 0 };
        sums.add(&header[..24]);
        let header_is_sound = word(&header, 0) & !1 == MAGIC
            && word(&header, 8) == PAGE_BYTES
            && (sums.first, sums.second) == (word(&header, 24), word(&header, 28));
        let mut salts = header_is_sound.then(|| (word(&header, 16), word(&header, 20)));
        let mut frames = Vec::new();
        let mut chained = header_is_sound;
        let mut image = vec![0; FRAME_HEADER_BYTES + FRAME_PAGE_BYTES];
        while fill(&mut input, &mut image)? {
            let own = (word(&image, 8), word(&image, 12));
            // Without a header the first frame says which round it is.
            let present = *salts.get_or_insert(own) == own;
            if chained {
                sums.add(&image[..8]);
                sums.add(&image[FRAME_HEADER_BYTES..]);
                chained = present && (sums.first, sums.second) == (word(&image, 16), word(&image, 20));
            }
            let at = (HEADER_BYTES + frames.len() * image.len() + FRAME_HEADER_BYTES) as u64;
            frames.push(Frame { page: word(&image, 0), at, commit: word(&image, 4) != 0, present, chained });
        }
        Ok(Self { frames, header_is_sound })
    }

    /// Whether it holds nothing that was ever committed.
    pub(crate) fn has_commits(&self) -> bool {
        self.frames.iter().any(|frame| frame.present && frame.commit)
    }

    /// Whether commits are in it that SQLite would pass over though they had been synced: behind the first frame that does
    /// not hold ends a commit, and then comes more. A commit begins only when the one before is synced, so what a power
    /// cut tears is the last one.
    pub(crate) fn is_damaged(&self) -> bool {
        if !self.header_is_sound {
            return self.has_commits();
        }
        let broken = self.frames.iter().position(|frame| !frame.chained).unwrap_or(self.frames.len());
        let mut rest = self.frames[broken..].iter().filter(|frame| frame.present);
        rest.any(|frame| frame.commit) && rest.next().is_some()
    }

    /// The frames of finished commits of the present round, sound or not.
    pub(crate) fn committed(&self) -> &[Frame] {
        let end = self.frames.iter().rposition(|frame| frame.present && frame.commit).map_or(0, |last| last + 1);
        &self.frames[..end]
    }
}

/// The two running sums.
struct Sums {
    little_endian: bool,
    first: u32,
    second: u32,
}

impl Sums {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let (a, b) = (self.word(&pair[..4]), self.word(&pair[4..]));
            self.first = self.first.wrapping_add(a).wrapping_add(self.second);
            self.second = self.second.wrapping_add(b).wrapping_add(self.first);
        }
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let bytes = bytes.try_into().unwrap_or([0; 4]);
        if self.little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Fills a buffer whole; false at the end of the input, where a part is as good as nothing.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// A WAL of five commits after that of the table.
    fn wal() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; CREATE TABLE t(x INTEGER PRIMARY KEY, y)",
            )
            .unwrap();
        for x in 0..5 {
            connection.execute("INSERT INTO t VALUES (?1, zeroblob(2500))", [x]).unwrap();
        }
        std::fs::read(dir.path().join("t.db-wal")).unwrap()
    }

    fn parse(bytes: &[u8]) -> Wal {
        Wal::parse(bytes).unwrap()
    }

    #[test]
    fn a_whole_wal_holds_and_an_empty_one_has_nothing() {
        let wal = parse(&wal());
        assert!(wal.header_is_sound && !wal.is_damaged() && wal.has_commits());
        assert!(wal.frames.iter().all(|frame| frame.chained && frame.present));
        assert_eq!(wal.committed().len(), wal.frames.len());
        assert!(wal.frames.iter().filter(|frame| frame.commit).count() >= 6);
        assert!(!parse(&[]).is_damaged() && !parse(&[]).has_commits());
        assert!(!parse(&[0; 40_000]).is_damaged(), "zeros are no WAL");
    }

    #[test]
    fn a_torn_last_commit_is_no_damage_and_a_flipped_bit_before_it_is() {
        let whole = wal();
        let frame = FRAME_HEADER_BYTES + FRAME_PAGE_BYTES;
        let frames = (whole.len() - HEADER_BYTES) / frame;
        let commits: Vec<usize> =
            (0..frames).filter(|index| word(&whole, HEADER_BYTES + index * frame + 4) != 0).collect();
        let last_commit_begins = commits[commits.len() - 2] + 1;
        for index in 0..frames {
            let mut flipped = whole.clone();
            flipped[HEADER_BYTES + index * frame + 500] ^= 4;
            assert_eq!(parse(&flipped).is_damaged(), index < last_commit_begins, "frame {index}");
            let cut = &whole[..HEADER_BYTES + index * frame + 77];
            assert!(!parse(cut).is_damaged(), "cut in frame {index}");
        }
        let mut headless = whole;
        headless[17] ^= 1;
        let wal = parse(&headless);
        assert!(wal.is_damaged());
        assert_eq!(wal.committed().len(), frames);
    }
}
