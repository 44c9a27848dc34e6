//! Where a frame of a byte stream ends: after a delimiter, after a number of bytes, or after a silence. Pure: bytes and
//! silences in, frames out. However the bytes are cut on their way, the frames are the same.

use std::time::Duration;

/// Longest delimiter in bytes.
pub(crate) const DELIMITER_MAX: usize = 16;
/// Longest frame in bytes.
pub(crate) const FRAME_MAX: usize = 262_144;
/// Longest silence that ends a frame, in milliseconds.
pub(crate) const IDLE_GAP_MAX_MS: u32 = 60_000;

/// Where a frame ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// After these bytes, which are taken off.
    Delimiter(Vec<u8>),
    /// After this many bytes.
    Length(usize),
    /// After this silence.
    IdleGap(Duration),
}

impl Rule {
    /// A rule that can work, or what is expected instead. A frame has at most `max` bytes.
    pub(crate) fn check(self, max: usize) -> Result<Self, String> {
        match &self {
            Rule::Delimiter(bytes) if bytes.is_empty() || bytes.len() > DELIMITER_MAX => {
                Err(format!("a delimiter of 1 to {DELIMITER_MAX} bytes"))
            }
            Rule::Length(length) if *length == 0 || *length > max => Err(format!("a length of 1 to {max} bytes")),
            Rule::IdleGap(gap) if gap.is_zero() || gap.as_millis() > u128::from(IDLE_GAP_MAX_MS) => {
                Err(format!("an idle gap of 1 to {IDLE_GAP_MAX_MS} ms"))
            }
            _ => Ok(self),
        }
    }
}

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A frame, without its delimiter.
    Frame(Vec<u8>),
    /// A frame that was too long and has been dropped up to its end; how long it was.
    TooLong(usize),
}

/// Cuts a stream into frames. After [`Framer::next`] has returned none it holds at most one frame.
#[derive(Debug)]
pub(crate) struct Framer {
    rule: Rule,
    max: usize,
    buffer: Vec<u8>,
    /// Where in `buffer` the part not yet given out begins.
    start: usize,
    /// Up to where in `buffer` no delimiter begins.
    scanned: usize,
    /// Bytes of the frame at hand that were dropped because it is too long.
    dropped: usize,
}

impl Framer {
    pub(crate) fn new(rule: Rule, max: usize) -> Self {
        Self { rule, max, buffer: Vec::new(), start: 0, scanned: 0, dropped: 0 }
    }

    /// Bytes that have come. Call [`Framer::next`] until it gives none before the next.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(data);
    }

    /// The next frame that is complete.
    pub(crate) fn next(&mut self) -> Option<Piece> {
        match &self.rule {
            Rule::Delimiter(delimiter) => {
                let length = delimiter.len();
                let found = find(&self.buffer[self.scanned..], delimiter).map(|at| self.scanned + at);
                match found {
                    Some(at) => Some(self.cut(at, at + length)),
                    None => {
                        // The delimiter's beginning may already be here.
                        self.scanned = self.start.max((self.buffer.len() + 1).saturating_sub(length));
                        self.drop_if_too_long(self.scanned);
                        None
                    }
                }
            }
            Rule::Length(length) => {
                let end = self.start + *length;
                (end <= self.buffer.len()).then(|| self.cut(end, end))
            }
            Rule::IdleGap(_) => {
                self.drop_if_too_long(self.buffer.len());
                None
            }
        }
    }

    /// The line has been silent for the rule's gap: what has come is a frame.
    pub(crate) fn silence(&mut self) -> Option<Piece> {
        let waiting = self.waits_for_silence().is_some();
        waiting.then(|| self.cut(self.buffer.len(), self.buffer.len()))
    }

    /// The silence that would end the frame at hand; none: there is no frame, or it does not end so.
    pub(crate) fn waits_for_silence(&self) -> Option<Duration> {
        match self.rule {
            Rule::IdleGap(gap) if self.has_partial() => Some(gap),
            _ => None,
        }
    }

    /// Whether part of a frame has come.
    pub(crate) fn has_partial(&self) -> bool {
        self.start < self.buffer.len() || self.dropped > 0
    }

    /// Takes what has come of a frame that is not complete, and forgets it.
    pub(crate) fn take_partial(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.start);
        self.buffer.clear();
        (self.start, self.scanned, self.dropped) = (0, 0, 0);
        rest
    }

    /// Gives out what lies before `end` and goes on after `next`.
    fn cut(&mut self, end: usize, next: usize) -> Piece {
        let length = self.dropped + end - self.start;
        let piece = if length > self.max {
            Piece::TooLong(length)
        } else {
            Piece::Frame(self.buffer[self.start..end].to_vec())
        };
        self.dropped = 0;
        self.start = next;
        self.scanned = next;
        piece
    }

    /// Drops what is already known to belong to a frame that is too long; `certain` is where its known part ends.
    fn drop_if_too_long(&mut self, certain: usize) {
        let length = self.dropped + certain - self.start;
        if length > self.max {
            self.dropped = length;
            self.start = certain;
            self.scanned = certain;
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (&first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|&byte| byte == first) {
        let after = from + at + 1;
        if haystack[after..].starts_with(rest) {
            return Some(from + at);
        }
        from = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(rule: &Rule, max: usize, chunks: &[&[u8]]) -> Vec<Piece> {
        let mut framer = Framer::new(rule.clone(), max);
        let mut pieces = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            pieces.extend(std::iter::from_fn(|| framer.next()));
            assert!(framer.buffer.len() - framer.start <= max + DELIMITER_MAX, "what is kept is bounded");
        }
        pieces.extend(framer.silence());
        pieces
    }

    fn frame(text: &str) -> Piece {
        Piece::Frame(text.as_bytes().to_vec())
    }

    #[test]
    fn a_torn_delimiter_is_seen_and_an_over_long_frame_is_dropped_up_to_its_end() {
        let rule = Rule::Delimiter(b"\r\n".to_vec());
        let chunks: [&[u8]; 5] = [b"ab\r", b"\ncd", b"efghijk\r\n", b"\r\nx\r", b"y\r\nrest"];
        let expected = [frame("ab"), Piece::TooLong(9), frame(""), frame("x\ry")];
        assert_eq!(frames(&rule, 4, &chunks), expected);
    }

    #[test]
    fn lengths_and_silences_end_frames() {
        assert_eq!(frames(&Rule::Length(3), 10, &[b"ab", b"cdefg"]), [frame("abc"), frame("def")]);
        let gap = Rule::IdleGap(Duration::from_millis(5));
        assert_eq!(frames(&gap, 10, &[b"ab", b"cd"]), [frame("abcd")]);
        assert_eq!(frames(&gap, 3, &[b"ab", b"cd", b"e"]), [Piece::TooLong(5)]);
        assert_eq!(frames(&gap, 3, &[]), [], "silence without bytes is no frame");
    }

    #[test]
    fn what_is_left_of_a_frame_can_be_taken() {
        let mut framer = Framer::new(Rule::Delimiter(b"\n".to_vec()), 10);
        framer.push(b"one\ntw");
        assert_eq!(framer.next(), Some(frame("one")));
        assert_eq!(framer.next(), None);
        assert!(framer.has_partial());
        assert_eq!(framer.take_partial(), b"tw");
        framer.push(b"x\n");
        assert_eq!(framer.next(), Some(frame("x")));
    }

    #[test]
    fn rules_that_cannot_work_say_what_is_expected() {
        for rule in [
            Rule::Delimiter(vec![]),
            Rule::Delimiter(vec![0; 17]),
            Rule::Length(0),
            Rule::Length(11),
            Rule::IdleGap(Duration::ZERO),
        ] {
            assert!(rule.check(10).is_err());
        }
        assert!(Rule::Length(10).check(10).is_ok());
    }

    /// The frames of a whole stream, found in the plainest way.
    fn naive(delimiter: &[u8], max: usize, mut data: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while let Some(at) = (0..data.len()).find(|&at| data[at..].starts_with(delimiter)) {
            pieces.push(if at > max { Piece::TooLong(at) } else { Piece::Frame(data[..at].to_vec()) });
            data = &data[at + delimiter.len()..];
        }
        pieces
    }

    fn cut<'a>(data: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut rest = data;
        let mut chunks = Vec::new();
        for &cut in cuts {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        chunks.push(rest);
        chunks
    }

    proptest! {
        #[test]
        fn frames_do_not_depend_on_how_the_bytes_are_cut(
            data in prop::collection::vec(0u8..4, 0..200),
            delimiter in prop::collection::vec(0u8..3, 1..4),
            cuts in prop::collection::vec(0usize..9, 0..60),
            max in 1usize..12, length in 1usize..12,
        ) {
            let chunks = cut(&data, &cuts);
            let expected = naive(&delimiter, max, &data);
            prop_assert_eq!(frames(&Rule::Delimiter(delimiter), max, &chunks), expected);
            let expected: Vec<Piece> = data.chunks_exact(length).map(|chunk| Piece::Frame(chunk.to_vec())).collect();
            prop_assert_eq!(frames(&Rule::Length(length), 12, &chunks), expected);
        }
    }
}
