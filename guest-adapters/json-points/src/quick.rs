//! The walk of [`crate::tree`] over the text of a plain payload, without serde: inside the sandbox each call and each turn of a
//! loop is looked at for the adapter's deadline, so a parser of many small functions takes more than twice as long there as
//! outside. This one has few, and takes eight bytes in one step where it can: the names that it expects, the ends of texts, the
//! digits of numbers. Loops are for what is longer.
//!
//! It takes what nearly all payloads are. Whatever is unusual, and whatever is wrong, it leaves to serde_json: a text with an
//! escape, a number of more than 18 digits, 64 objects in one another. So there is one place that says what is wrong with JSON.

use crate::Scalar;
use crate::tree::{Node, Receive};

/// Objects and arrays in one another that are gone into.
const DEPTH_MAX: u32 = 64;
/// Digits of a number that fit into 64 bits whatever they are.
const DIGITS_MAX: usize = 18;
/// Below it a float names every whole number.
const WHOLE_MAX: u64 = 1 << 53;
/// The powers of ten that a float names exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// What a step returns instead of a place: the payload is not plain. Each step takes the place where it begins and returns the one
/// behind it, because what is passed in registers costs nothing in a sandbox, and what goes through memory does.
const NOT_PLAIN: usize = usize::MAX;

/// Walks a whole payload. False: it is not plain, and what was received so far does not count. The tree must be plain.
pub(crate) fn walk<'de>(json: &'de [u8], root: &Node, to: &mut impl Receive<'de>) -> bool {
    let mut walk = Walk { json, to };
    let end = walk.place(0, root, 0);
    end != NOT_PLAIN && walk.behind_space(end) == json.len()
}

struct Walk<'w, 'de, R> {
    json: &'de [u8],
    to: &'w mut R,
}

impl<'de, R: Receive<'de>> Walk<'_, 'de, R> {
    /// The byte of a place; behind the end zero, which is nowhere in JSON.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.json.get(at).copied().unwrap_or(0)
    }

    /// The next eight bytes, the first one lowest; none near the end.
    #[inline]
    fn eight(&self, at: usize) -> Option<u64> {
        let eight = self.json.get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*eight))
    }

    /// The next place that holds no white space.
    #[inline]
    fn behind_space(&self, at: usize) -> usize {
        if self.byte(at) > b' ' { at } else { self.behind_much_space(at) }
    }

    /// Not inlined: a loop costs a look at the deadline even where it does not turn.
    #[inline(never)]
    fn behind_much_space(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\t' | b'\r') {
            at += 1;
        }
        at
    }

    /// The value at a place of the tree.
    fn place(&mut self, at: usize, node: &Node, depth: u32) -> usize {
        let at = self.behind_space(at);
        match (self.byte(at), node.only_goal()) {
            (b'{', None) => self.object(at + 1, node, depth + 1),
            (b'[', None) => self.array(at + 1, node, depth + 1),
            (byte @ (b'{' | b'['), Some(goal)) => {
                let end = self.skip(at, depth);
                self.to.scalar(goal, if byte == b'{' { &Scalar::Object } else { &Scalar::Array });
                end
            }
            _ => self.scalar(at, Some(node)),
        }
    }

    fn object(&mut self, at: usize, node: &Node, depth: u32) -> usize {
        let mut at = self.behind_space(at);
        if depth > DEPTH_MAX {
            return NOT_PLAIN;
        }
        if self.byte(at) == b'}' {
            return at + 1;
        }
        let mut expected = 0;
        loop {
            if self.byte(at) != b'"' {
                return NOT_PLAIN;
            }
            // The name that is expected next is compared before it is known where it ends.
            let found = node.starts_with_name(expected, self.eight(at + 1), &self.json[at + 1..]);
            let found = match found {
                Some(length) => {
                    at += 1 + length;
                    Some(expected)
                }
                None => {
                    let end = self.string(at + 1);
                    if end == NOT_PLAIN {
                        return NOT_PLAIN;
                    }
                    let found = node.look_up(&self.json[at + 1..end]);
                    at = end + 1;
                    found
                }
            };
            at = self.behind_space(at);
            if self.byte(at) != b':' {
                return NOT_PLAIN;
            }
            at = match found {
                Some(index) => {
                    expected = index + 1;
                    self.place(at + 1, node.field_at(index), depth)
                }
                None => self.skip(at + 1, depth),
            };
            at = self.behind_space(at);
            match self.byte(at) {
                b',' => at = self.behind_space(at + 1),
                b'}' => return at + 1,
                _ => return NOT_PLAIN,
            }
        }
    }

    fn array(&mut self, at: usize, node: &Node, depth: u32) -> usize {
        let mut at = self.behind_space(at);
        if depth > DEPTH_MAX {
            return NOT_PLAIN;
        }
        if self.byte(at) == b']' {
            return at + 1;
        }
        let mut index = 0;
        loop {
            at = match node.item_at(index) {
                Some(item) => self.place(at, item, depth),
                None => self.skip(at, depth),
            };
            at = self.behind_space(at);
            match self.byte(at) {
                b',' => at += 1,
                b']' => return at + 1,
                _ => return NOT_PLAIN,
            }
            index += 1;
        }
    }

    /// Passes a value that nobody asked for.
    fn skip(&mut self, at: usize, depth: u32) -> usize {
        let at = self.behind_space(at);
        match self.byte(at) {
            b'{' | b'[' => self.skip_inside(at, depth),
            b'"' => match self.string(at + 1) {
                NOT_PLAIN => NOT_PLAIN,
                end => end + 1,
            },
            _ => self.scalar(at, None),
        }
    }

    fn skip_inside(&mut self, at: usize, depth: u32) -> usize {
        if depth >= DEPTH_MAX {
            return NOT_PLAIN;
        }
        let is_object = self.byte(at) == b'{';
        let end = if is_object { b'}' } else { b']' };
        let mut at = self.behind_space(at + 1);
        if self.byte(at) == end {
            return at + 1;
        }
        loop {
            if is_object {
                if self.byte(at) != b'"' {
                    return NOT_PLAIN;
                }
                at = self.string(at + 1);
                if at == NOT_PLAIN {
                    return NOT_PLAIN;
                }
                at = self.behind_space(at + 1);
                if self.byte(at) != b':' {
                    return NOT_PLAIN;
                }
                at += 1;
            }
            at = self.skip(at, depth + 1);
            at = self.behind_space(at);
            match self.byte(at) {
                b',' => at = self.behind_space(at + 1),
                byte if byte == end => return at + 1,
                _ => return NOT_PLAIN,
            }
        }
    }

    /// Hands a scalar to whoever wants it; no node: nobody does.
    #[inline]
    fn hand(&mut self, node: Option<&Node>, scalar: &Scalar<'de>) {
        if let Some(goal) = node.and_then(Node::only_goal) {
            self.to.scalar(goal, scalar);
        }
    }

    /// The scalar that begins here.
    fn scalar(&mut self, at: usize, node: Option<&Node>) -> usize {
        match self.byte(at) {
            b'"' => {
                let end = self.string(at + 1);
                if end == NOT_PLAIN {
                    return NOT_PLAIN;
                }
                let Ok(text) = std::str::from_utf8(&self.json[at + 1..end]) else { return NOT_PLAIN };
                self.hand(node, &Scalar::Text(text));
                end + 1
            }
            b'-' | b'0'..=b'9' => self.number(at, node),
            b't' => self.word(at, b"true", node, &Scalar::Boolean(true)),
            b'f' => self.word(at, b"false", node, &Scalar::Boolean(false)),
            b'n' => self.word(at, b"null", node, &Scalar::Null),
            _ => NOT_PLAIN,
        }
    }

    #[inline]
    fn word(&mut self, at: usize, word: &[u8], node: Option<&Node>, scalar: &Scalar<'de>) -> usize {
        if !self.json[at..].starts_with(word) {
            return NOT_PLAIN;
        }
        self.hand(node, scalar);
        at + word.len()
    }

    /// The place of the quote that ends the text; not plain where that has an escape or a control character, or is no UTF-8.
    #[inline]
    fn string(&self, at: usize) -> usize {
        if let Some(eight) = self.eight(at) {
            let special = special(eight);
            let before = special.wrapping_sub(1) & !special;
            if special != 0 && eight & before & HIGHS == 0 {
                let end = at + (special.trailing_zeros() / 8) as usize;
                return if self.byte(end) == b'"' { end } else { NOT_PLAIN };
            }
        }
        self.long_string(at)
    }

    /// The same for a text that may be long or of other characters.
    #[inline(never)]
    fn long_string(&self, start: usize) -> usize {
        let mut end = start;
        while let Some(eight) = self.eight(end) {
            let special = special(eight);
            if special != 0 {
                end += (special.trailing_zeros() / 8) as usize;
                break;
            }
            end += 8;
        }
        while !matches!(self.byte(end), b'"' | b'\\' | 0..0x20) {
            end += 1;
        }
        let Some(text) = self.json.get(start..end) else { return NOT_PLAIN };
        let is_text = text.is_ascii() || std::str::from_utf8(text).is_ok();
        if is_text && self.byte(end) == b'"' { end } else { NOT_PLAIN }
    }

    #[inline]
    fn number(&mut self, start: usize, node: Option<&Node>) -> usize {
        let is_negative = self.byte(start) == b'-';
        let first = start + usize::from(is_negative);
        let Some((mut digits, mut at)) = self.digits(first, 0) else { return NOT_PLAIN };
        let whole = at - first;
        // 01 is no number.
        if whole == 0 || whole > 1 && self.byte(first) == b'0' {
            return NOT_PLAIN;
        }
        let (mut exponent, mut is_real) = (0_i32, false);
        if self.byte(at) == b'.' {
            let point = at + 1;
            match self.digits(point, digits) {
                Some((number, end)) if end > point && whole + end - point <= DIGITS_MAX => (digits, at) = (number, end),
                _ => return NOT_PLAIN,
            }
            (exponent, is_real) = (-((at - point) as i32), true);
        }
        if let b'e' | b'E' = self.byte(at) {
            let Some((written, end)) = self.exponent(at + 1) else { return NOT_PLAIN };
            (exponent, is_real, at) = (exponent + written, true, end);
        }
        if !is_real && (digits > 0 || !is_negative) {
            let number = digits as i64;
            self.hand(node, &Scalar::Integer(if is_negative { -number } else { number }));
            return at;
        }
        let number = match POWERS.get(exponent.unsigned_abs() as usize) {
            // Both are exact, so the one operation rounds as it should.
            Some(power) if digits < WHOLE_MAX && exponent < 0 => digits.cast_signed() as f64 / power,
            Some(power) if digits < WHOLE_MAX => digits.cast_signed() as f64 * power,
            _ => match self.parsed(first, at) {
                Some(number) => number,
                None => return NOT_PLAIN,
            },
        };
        self.hand(node, &Scalar::Real(if is_negative { -number } else { number }));
        at
    }

    /// A number without its sign as the standard library reads it; none: it is too large.
    #[cold]
    fn parsed(&self, start: usize, end: usize) -> Option<f64> {
        let text = std::str::from_utf8(self.json.get(start..end)?).ok()?;
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Passes digits behind those of a number so far; none: they are too many.
    #[inline]
    fn digits(&self, at: usize, number: u64) -> Option<(u64, usize)> {
        if let Some(eight) = self.eight(at)
            && let count @ 0..8 = leading_digits(eight)
        {
            return Some((number.wrapping_mul(TENS[count]).wrapping_add(digits_value(eight, count)), at + count));
        }
        self.many_digits(at, number)
    }

    /// The same, where they are eight or more or the end is near.
    #[inline(never)]
    fn many_digits(&self, start: usize, mut number: u64) -> Option<(u64, usize)> {
        let mut at = start;
        while let byte @ b'0'..=b'9' = self.byte(at) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            at += 1;
        }
        (at - start <= DIGITS_MAX).then_some((number, at))
    }

    #[inline(never)]
    fn exponent(&self, at: usize) -> Option<(i32, usize)> {
        let sign = self.byte(at);
        let start = at + usize::from(matches!(sign, b'+' | b'-'));
        let (digits, end) = self.digits(start, 0)?;
        let digits = i32::try_from(digits).ok().filter(|digits| *digits < 1_000)?;
        (end > start).then_some((if sign == b'-' { -digits } else { digits }, end))
    }
}

/// The powers of ten by which a number grows with up to seven digits.
const TENS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The highest bit of each byte that is this one; beyond the lowest such byte others may be marked, too.
#[inline]
fn has(eight: u64, byte: u8) -> u64 {
    let zero_where_equal = eight ^ (ONES * u64::from(byte));
    zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & HIGHS
}

/// The same of each byte below a space.
#[inline]
fn below_space(eight: u64) -> u64 {
    eight.wrapping_sub(ONES * 0x20) & !eight & HIGHS
}

/// The highest bit of the first byte that ends a plain text, and of some behind it.
#[inline]
fn special(eight: u64) -> u64 {
    has(eight, b'"') | has(eight, b'\\') | below_space(eight)
}

/// How many digits the first of eight bytes are.
#[inline]
fn leading_digits(eight: u64) -> usize {
    let zero_based = eight ^ (ONES * u64::from(b'0'));
    // A sum that goes beyond its byte changes only those behind the first that is none.
    let others = (zero_based.wrapping_add(ONES * 0x76) | zero_based) & HIGHS;
    (others.trailing_zeros() / 8) as usize
}

/// The number that the first of eight bytes are, fewer than eight digits: they go to the end, behind zeros, and neighbours are put
/// together three times.
#[inline]
fn digits_value(eight: u64, count: usize) -> u64 {
    let zero_based = eight ^ (ONES * u64::from(b'0'));
    // In two steps, since none of eight would be a shift by all bits.
    let digits = zero_based << 8 << (56 - 8 * count);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & 0xFF_0000_00FF).wrapping_mul(100 + (1_000_000 << 32));
    let low = (pairs >> 16 & 0xFF_0000_00FF).wrapping_mul(1 + (10_000 << 32));
    high.wrapping_add(low) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Path;
    use crate::tree::Goal;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    /// What was received, as text: numbers bit by bit.
    #[derive(Default)]
    struct Seen(Vec<String>);

    impl<'de> Receive<'de> for Seen {
        fn scalar(&mut self, goal: Goal, scalar: &Scalar<'_>) {
            let bits = if let Scalar::Real(number) = scalar { number.to_bits() } else { 0 };
            self.0.push(format!("{goal:?} {scalar:?} {bits}"));
        }

        fn text(&mut self, _: Goal, _: &'de RawValue) {
            panic!("a plain tree has no goal that needs text");
        }
    }

    /// Names of up to eight bytes with their quote, and longer ones.
    fn tree() -> Node {
        let mut root = Node::default();
        for (index, path) in
            ["a", "b.a", "b.b[1]", "c[0]", "[2].a", "é", "seven77", "eight888", "temperature"].into_iter().enumerate()
        {
            root.add(&Path::parse(path).unwrap(), Goal::Point { index, exact: false });
        }
        root.add(&Path::parse("t").unwrap(), Goal::Time);
        root
    }

    /// What it takes it takes as serde_json does, and it takes nothing that serde_json refuses.
    fn check(text: impl AsRef<[u8]>) -> bool {
        let text = text.as_ref();
        let (root, mut quick, mut slow) = (tree(), Seen::default(), Seen::default());
        assert!(root.is_plain());
        let is_taken = walk(text, &root, &mut quick);
        let outcome = crate::tree::walk(text, &root, &mut slow);
        if is_taken {
            assert!(outcome.is_ok(), "{}: {outcome:?}", text.escape_ascii());
            assert_eq!(quick.0, slow.0, "{}", text.escape_ascii());
        }
        is_taken
    }

    #[test]
    fn plain_payloads_are_taken_and_others_are_left() {
        for text in [
            r#"{"a": 21.5, "b": {"a": true, "b": [1, "x"]}, "c": [], "t": "2026-05-04T10:00:00Z", "é": null}"#,
            r#" [ 1 , -2.5e-3 , { "a" : -0 , "a" : 0.1 } ] "#,
            r#"{"a": {}, "b": 123456789012345678, "c": [{"d": [[]]}], "other": {"deep": [1, {"x": "y"}]}}"#,
            "{\"a\":1e22,\"b\":{\"a\":1.7976931348623157e308,\"b\":[0,5e-324]}}",
            r#"{"seven77": 1234567, "eight888":12345678.12345678 , "temperature": [], "c": ["длинный текст °C"]}"#,
            r#"{"seven777": 1, "eight88": 2, "temperatur": 3, "temperature2": 4, "": 5}"#,
            "17",
        ] {
            assert!(check(text), "{text}");
        }
        for text in [
            "",
            "{",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "+1",
            "nul",
            "truex",
            "{\"a\":1,}",
            "[1,]",
            "{\"a\" 1}",
            "1 2",
            "1e999",
            r#"{"a": "\n"}"#,
            "\"\t\"",
            "1234567890123456789",
            "{1:2}",
            "\"x",
            "{\"a\"b\":1}",
        ] {
            assert!(!check(text), "{text}");
        }
        for text in
            [&b"{\"a\":\"\xff\"}"[..], b"{\"other\":\"long enough for two steps \xc3\"}", b"{\"\xff\":1}", b"\xff"]
        {
            assert!(!check(text), "{}", text.escape_ascii());
        }
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(check(deep(40)));
        assert!(!check(deep(100)));
    }

    fn json() -> impl Strategy<Value = String> {
        let number = prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>()
                .prop_filter("JSON has no others", |number| number.is_finite())
                .prop_map(|number| number.to_string()),
            "-?[0-9]{1,20}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        ];
        let leaf = prop_oneof![number, "\"[a-é\\\\\"n ]{0,12}\"", Just("true".to_owned()), Just("null".to_owned())];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let field = ("[abcté]|seven77|eight888|temperature|temperatur|[a-z]{6,9}", inner.clone())
                .prop_map(|(name, value)| format!("\"{name}\": {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
                prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_json_takes_or_nothing(text in json(), cut in any::<prop::sample::Index>(), byte in "[ -~]") {
            check(text.as_str());
            let mut changed: Vec<char> = text.chars().collect();
            if !changed.is_empty() {
                let place = cut.index(changed.len());
                changed[place] = byte.chars().next().unwrap_or(' ');
            }
            check(changed.iter().collect::<String>());
            let mut bytes = text.into_bytes();
            if !bytes.is_empty() {
                let place = cut.index(bytes.len());
                bytes[place] |= 0x80;
            }
            check(bytes);
        }
    }
}
