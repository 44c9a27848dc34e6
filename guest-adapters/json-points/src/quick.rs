//! The walk of [`crate::tree`] over the text of a plain payload, without serde: inside the sandbox each call and each turn of a
//! loop is looked at for the adapter's deadline, so a parser of many small functions takes more than twice as long there as
//! outside. This one has few, and looks at eight bytes of a text at a time: a third less time.
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

/// Walks a whole payload. False: it is not plain, and what was received so far does not count. The tree must be plain.
pub(crate) fn walk<'de>(text: &'de str, root: &Node, to: &mut impl Receive<'de>) -> bool {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0 };
    parser.place(root, to, 0).is_some() && parser.next().is_none() && parser.at == text.len()
}

struct Parser<'de> {
    text: &'de str,
    bytes: &'de [u8],
    at: usize,
}

impl<'de> Parser<'de> {
    /// The next byte that is no white space, which is not passed.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Passes this byte, which must be the next one.
    #[inline]
    fn pass(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    /// The value at a place of the tree.
    fn place(&mut self, node: &Node, to: &mut impl Receive<'de>, depth: u32) -> Option<()> {
        let byte = self.next()?;
        match (node.only_goal(), byte) {
            (Some(goal), b'{' | b'[') => {
                self.skip(depth)?;
                to.scalar(goal, if byte == b'{' { &Scalar::Object } else { &Scalar::Array });
                Some(())
            }
            (Some(goal), _) => self.scalar(byte).map(|scalar| to.scalar(goal, &scalar)),
            (None, b'{') => self.object(node, to, depth + 1),
            (None, b'[') => self.array(node, to, depth + 1),
            (None, _) => self.scalar(byte).map(drop),
        }
    }

    fn object(&mut self, node: &Node, to: &mut impl Receive<'de>, depth: u32) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.at += 1;
        if self.next()? == b'}' {
            self.at += 1;
            return Some(());
        }
        let mut expected = 0;
        loop {
            self.pass(b'"')?;
            let name = self.string()?;
            self.pass(b':')?;
            match node.find(name, expected) {
                Some(index) => {
                    self.place(node.field_at(index), to, depth)?;
                    expected = index + 1;
                }
                None => self.skip(depth)?,
            }
            if self.ends_with(b'}')? {
                return Some(());
            }
        }
    }

    fn array(&mut self, node: &Node, to: &mut impl Receive<'de>, depth: u32) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.at += 1;
        if self.next()? == b']' {
            self.at += 1;
            return Some(());
        }
        for index in 0.. {
            match node.item_at(index) {
                Some(item) => self.place(item, to, depth)?,
                None => self.skip(depth)?,
            }
            if self.ends_with(b']')? {
                break;
            }
        }
        Some(())
    }

    /// Passes a value that nobody asked for.
    fn skip(&mut self, depth: u32) -> Option<()> {
        let byte = self.next()?;
        let end = match byte {
            b'{' => b'}',
            b'[' => b']',
            _ => return self.scalar(byte).map(drop),
        };
        if depth >= DEPTH_MAX {
            return None;
        }
        self.at += 1;
        if self.next()? == end {
            self.at += 1;
            return Some(());
        }
        loop {
            if byte == b'{' {
                self.pass(b'"')?;
                self.string()?;
                self.pass(b':')?;
            }
            self.skip(depth + 1)?;
            if self.ends_with(end)? {
                return Some(());
            }
        }
    }

    /// Passes a comma, or the end of an object or array: then true.
    #[inline]
    fn ends_with(&mut self, end: u8) -> Option<bool> {
        let byte = self.next()?;
        self.at += 1;
        if byte == end { Some(true) } else { (byte == b',').then_some(false) }
    }

    /// The scalar that begins with this byte.
    #[inline]
    fn scalar(&mut self, byte: u8) -> Option<Scalar<'de>> {
        match byte {
            b'"' => {
                self.at += 1;
                self.string().map(Scalar::Text)
            }
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", Scalar::Boolean(true)),
            b'f' => self.word("false", Scalar::Boolean(false)),
            b'n' => self.word("null", Scalar::Null),
            _ => None,
        }
    }

    fn word(&mut self, word: &str, scalar: Scalar<'de>) -> Option<Scalar<'de>> {
        let is_it = self.bytes.get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        is_it.then_some(scalar)
    }

    /// The text from here to its quote, which is passed; none where it has an escape or a control character.
    #[inline]
    fn string(&mut self) -> Option<&'de str> {
        let start = self.at;
        while let Some(eight) = self.bytes.get(self.at..self.at + 8) {
            let eight = u64::from_le_bytes(eight.try_into().ok()?);
            let special = has(eight, b'"') | has(eight, b'\\') | below_space(eight);
            if special != 0 {
                self.at += (special.trailing_zeros() / 8) as usize;
                break;
            }
            self.at += 8;
        }
        while !matches!(*self.bytes.get(self.at)?, b'"' | b'\\' | 0..0x20) {
            self.at += 1;
        }
        if self.bytes[self.at] != b'"' {
            return None;
        }
        // A quote is never inside of a character, so both ends are ends of characters.
        let text = self.text.get(start..self.at);
        self.at += 1;
        text
    }

    #[inline]
    fn number(&mut self) -> Option<Scalar<'de>> {
        let start = self.at;
        let is_negative = self.bytes[start] == b'-';
        self.at += usize::from(is_negative);
        let first = self.at;
        let mut digits = self.digits(0)?;
        let whole = self.at - first;
        // 01 is no number.
        if whole == 0 || whole > 1 && self.bytes[first] == b'0' {
            return None;
        }
        let (mut exponent, mut is_real) = (0_i32, false);
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            let point = self.at;
            digits = self.digits(digits)?;
            let places = self.at - point;
            if places == 0 || whole + places > DIGITS_MAX {
                return None;
            }
            (exponent, is_real) = (-(places as i32), true);
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            exponent += self.exponent()?;
            is_real = true;
        }
        if !is_real && (digits > 0 || !is_negative) {
            let number = digits as i64;
            return Some(Scalar::Integer(if is_negative { -number } else { number }));
        }
        let power = POWERS.get(exponent.unsigned_abs() as usize);
        let number = match power {
            // Both are exact, so the one operation rounds as it should.
            Some(power) if digits < WHOLE_MAX && exponent < 0 => digits.cast_signed() as f64 / power,
            Some(power) if digits < WHOLE_MAX => digits.cast_signed() as f64 * power,
            _ => {
                return self
                    .text
                    .get(start..self.at)?
                    .parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite())
                    .map(Scalar::Real);
            }
        };
        Some(Scalar::Real(if is_negative { -number } else { number }))
    }

    /// Passes digits behind those of a number so far; none: they are too many.
    #[inline]
    fn digits(&mut self, mut number: u64) -> Option<u64> {
        let start = self.at;
        while let Some(byte @ b'0'..=b'9') = self.bytes.get(self.at) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            self.at += 1;
        }
        (self.at - start <= DIGITS_MAX).then_some(number)
    }

    fn exponent(&mut self) -> Option<i32> {
        self.at += 1;
        let sign = self.bytes.get(self.at);
        self.at += usize::from(matches!(sign, Some(b'+' | b'-')));
        let start = self.at;
        let digits = i32::try_from(self.digits(0)?).ok().filter(|digits| *digits < 1_000)?;
        (self.at > start).then_some(if sign == Some(&b'-') { -digits } else { digits })
    }
}

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

    fn tree() -> Node {
        let mut root = Node::default();
        for (index, path) in ["a", "b.a", "b.b[1]", "c[0]", "[2].a", "é"].into_iter().enumerate() {
            root.add(&Path::parse(path).unwrap(), Goal::Point { index, exact: false });
        }
        root.add(&Path::parse("t").unwrap(), Goal::Time);
        root
    }

    /// What it takes it takes as serde_json does, and it takes nothing that serde_json refuses.
    fn check(text: &str) -> bool {
        let (root, mut quick, mut slow) = (tree(), Seen::default(), Seen::default());
        assert!(root.is_plain());
        let is_taken = walk(text, &root, &mut quick);
        let outcome = crate::tree::walk(text.as_bytes(), &root, &mut slow);
        if is_taken {
            assert!(outcome.is_ok(), "{text}: {outcome:?}");
            assert_eq!(quick.0, slow.0, "{text}");
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
        ] {
            assert!(!check(text), "{text}");
        }
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(check(&deep(40)));
        assert!(!check(&deep(100)));
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
            let field = ("[abcté]", inner.clone()).prop_map(|(name, value)| format!("\"{name}\": {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
                prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_json_takes_or_nothing(text in json(), cut in any::<prop::sample::Index>(), byte in "[ -~]") {
            check(&text);
            let mut changed: Vec<char> = text.chars().collect();
            if !changed.is_empty() {
                let place = cut.index(changed.len());
                changed[place] = byte.chars().next().unwrap_or(' ');
            }
            check(&changed.iter().collect::<String>());
        }
    }
}
