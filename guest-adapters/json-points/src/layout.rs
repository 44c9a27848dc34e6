//! What payloads of one sender have in common. A device writes each of its messages alike: the same names in the same order, and
//! only the values differ. So what stands between the values is learned from one payload; of the next ones it is compared, and
//! only their values are read. That takes a third of the time of parsing them, inside the sandbox even less.
//!
//! A payload that is like none is left to [`crate::tree`], which alone says what is wrong with one. Whatever is taken here is
//! taken there alike: a property test holds both against each other.

use crate::text::{Number, Text};
use crate::tree::{Goal, Node};

/// Objects and arrays in one another that are learned from.
const DEPTH_MAX: u32 = 64;
/// Most steps of all layouts of a mapping, of 48 bytes each: 24 KiB, and 192 bytes for each point beyond 128. When they are more,
/// the layouts start anew.
const STEPS_MAX: usize = 512;
const STEPS_MAX_PER_POINT: usize = 4;
/// So many payloads that were like none are learned from; later it is one of so many, so that a sender of ever new ones costs
/// little.
const LEARNED_AT_ONCE: u32 = 16;
const LEARNED_EVERY: u32 = 64;

/// The layouts of a mapping's payloads.
#[derive(Debug)]
pub(crate) struct Layouts {
    kept: Vec<Layout>,
    steps_max: usize,
    /// Payloads that were like none.
    misses: u32,
}

/// Who takes the values of a payload as they are come by. False: it cannot take this one.
pub(crate) trait Take {
    /// A number.
    fn number(&mut self, goal: Goal, number: Number) -> bool;
    /// A string without escapes, perhaps no UTF-8.
    fn string(&mut self, goal: Goal, string: &[u8]) -> bool;
    /// True, false or, if none, null.
    fn word(&mut self, goal: Goal, word: Option<bool>) -> bool;
}

impl Layouts {
    /// None yet, of payloads that so many points are listed for.
    pub(crate) fn new(points: usize) -> Layouts {
        Layouts { kept: Vec::new(), steps_max: STEPS_MAX.max(points * STEPS_MAX_PER_POINT), misses: 0 }
    }

    /// How many there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Hands over the values of a payload that is like this layout. False: it is not, or `to` cannot take one, and what it took
    /// does not count.
    #[inline(always)]
    pub(crate) fn follow(&self, layout: usize, text: Text<'_>, to: &mut impl Take) -> bool {
        self.kept.get(layout).is_some_and(|layout| layout.follow(text, to))
    }

    /// Learns from a payload that was like none, is JSON, and has what `is_whole` asks for.
    pub(crate) fn learn(&mut self, json: &[u8], root: &Node, is_whole: impl FnOnce(&[Goal]) -> bool) {
        self.misses = self.misses.wrapping_add(1);
        if self.misses > LEARNED_AT_ONCE && !self.misses.is_multiple_of(LEARNED_EVERY) {
            return;
        }
        let learner = Learner {
            text: Text::new(json),
            steps: Vec::new(),
            steps_max: self.steps_max,
            goals: Vec::new(),
            known: 0,
        };
        let Some(layout) = learner.learn(root, is_whole) else { return };
        let steps: usize = self.kept.iter().map(|kept| kept.0.len()).sum();
        if steps + layout.0.len() > self.steps_max {
            self.kept.clear();
        }
        self.kept.push(layout);
    }
}

/// One layout.
#[derive(Debug)]
struct Layout(Box<[Step]>);

/// Up to 16 bytes that stand in every payload, and what is behind them.
#[derive(Debug)]
struct Step {
    /// The first eight bytes, the first one lowest, and the bits of those that count.
    head: u64,
    head_mask: u64,
    /// The next eight.
    rest: u64,
    rest_mask: u64,
    length: usize,
    then: Then,
}

/// What is behind a step's bytes. A value says what it is wanted for, if it is.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The next step's bytes, or the end.
    On,
    Number(Option<Goal>),
    String(Option<Goal>),
    Word(Option<Goal>),
}

impl Layout {
    /// One loop without a call: each costs a look at the deadline.
    #[inline(always)]
    fn follow(&self, text: Text<'_>, to: &mut impl Take) -> bool {
        let mut at = 0;
        for step in &self.0 {
            if (text.eight(at) ^ step.head) & step.head_mask != 0 {
                return false;
            }
            if step.length > 8 && (text.eight(at + 8) ^ step.rest) & step.rest_mask != 0 {
                return false;
            }
            at += step.length;
            let is_taken = match step.then {
                Then::On => true,
                Then::Number(goal) => {
                    let Some((number, end)) = text.number(at) else { return false };
                    at = end;
                    goal.is_none_or(|goal| to.number(goal, number))
                }
                Then::String(goal) => {
                    let Some((string, end)) = text.string(at) else { return false };
                    at = end;
                    goal.is_none_or(|goal| to.string(goal, string))
                }
                Then::Word(goal) => {
                    let Some((word, end)) = text.word(at) else { return false };
                    at = end;
                    goal.is_none_or(|goal| to.word(goal, word))
                }
            };
            if !is_taken {
                return false;
            }
        }
        at == text.len()
    }
}

/// Learns a layout. What it goes through is known to be JSON, so it only has to find its way.
struct Learner<'j> {
    text: Text<'j>,
    steps: Vec<Step>,
    steps_max: usize,
    /// What the values are wanted for, in their order.
    goals: Vec<Goal>,
    /// The place up to which there are steps.
    known: usize,
}

impl Learner<'_> {
    /// None: it has an escape or a very long number, an object or an array where a scalar is wanted, is too deep or too long, or is
    /// not whole.
    fn learn(mut self, root: &Node, is_whole: impl FnOnce(&[Goal]) -> bool) -> Option<Layout> {
        let end = self.value(0, Some(root), 0)?;
        let end = self.behind_space(end);
        self.add(end, Then::On)?;
        (end == self.text.len() && is_whole(&self.goals)).then_some(Layout(self.steps.into_boxed_slice()))
    }

    fn behind_space(&self, mut at: usize) -> usize {
        while let b' ' | b'\n' | b'\t' | b'\r' = self.text.byte(at) {
            at += 1;
        }
        at
    }

    /// Steps for all bytes up to a place.
    fn add(&mut self, end: usize, then: Then) -> Option<()> {
        let mut bytes = self.text.between(self.known, end)?;
        // What is long is not taken apart first.
        if bytes.len() / 16 > self.steps_max {
            return None;
        }
        while let Some((chunk, rest)) = bytes.split_at_checked(16).filter(|(_, rest)| !rest.is_empty()) {
            self.steps.push(Step::new(chunk, Then::On));
            bytes = rest;
        }
        self.steps.push(Step::new(bytes, then));
        (self.steps.len() <= self.steps_max).then_some(())
    }

    /// Learns the value at a place; the place behind it.
    fn value(&mut self, at: usize, node: Option<&Node>, depth: u32) -> Option<usize> {
        let at = self.behind_space(at);
        let goal = node.and_then(Node::only_goal);
        let (then, end) = match self.text.byte(at) {
            b'{' | b'[' if goal.is_some() || depth == DEPTH_MAX => return None,
            b'{' => return self.object(at, node, depth + 1),
            b'[' => return self.array(at, node, depth + 1),
            // The mapping has places in it, so serde_json looks whether it is UTF-8, and a layout does not.
            b'"' if node.is_some() && goal.is_none() => return None,
            b'"' => (Then::String(goal), self.text.string(at)?.1),
            b'-' | b'0'..=b'9' => (Then::Number(goal), self.text.number(at)?.1),
            _ => (Then::Word(goal), self.text.word(at)?.1),
        };
        self.add(at, then)?;
        self.goals.extend(goal);
        self.known = end;
        Some(end)
    }

    fn object(&mut self, open: usize, node: Option<&Node>, depth: u32) -> Option<usize> {
        let mut at = self.behind_space(open + 1);
        if self.text.byte(at) == b'}' {
            return Some(at + 1);
        }
        loop {
            let (name, end) = self.text.string(at)?;
            let field = node.and_then(|node| Some(node.field_at(node.look_up(name)?)));
            at = self.value(self.behind_space(end) + 1, field, depth)?;
            at = self.behind_space(at);
            if self.text.byte(at) != b',' {
                return Some(at + 1);
            }
            at = self.behind_space(at + 1);
        }
    }

    fn array(&mut self, open: usize, node: Option<&Node>, depth: u32) -> Option<usize> {
        let mut at = self.behind_space(open + 1);
        if self.text.byte(at) == b']' {
            return Some(at + 1);
        }
        let mut index = 0;
        loop {
            at = self.value(at, node.and_then(|node| node.item_at(index)), depth)?;
            at = self.behind_space(at);
            if self.text.byte(at) != b',' {
                return Some(at + 1);
            }
            (at, index) = (at + 1, index + 1);
        }
    }
}

impl Step {
    fn new(bytes: &[u8], then: Then) -> Step {
        let (head, rest) = bytes.split_at(bytes.len().min(8));
        let ((head, head_mask), (rest, rest_mask)) = (word(head), word(rest));
        Step { head, head_mask, rest, rest_mask, length: bytes.len(), then }
    }
}

/// Up to eight bytes, the first one lowest, and the bits they take.
fn word(bytes: &[u8]) -> (u64, u64) {
    let (mut word, mut mask) = ([0; 8], [0; 8]);
    word[..bytes.len()].copy_from_slice(bytes);
    mask[..bytes.len()].fill(0xff);
    (u64::from_le_bytes(word), u64::from_le_bytes(mask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Path;

    /// What was taken, as text.
    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Take for Seen {
        fn number(&mut self, goal: Goal, number: Number) -> bool {
            self.0.push(format!("{goal:?} {number:?}"));
            true
        }

        fn string(&mut self, goal: Goal, string: &[u8]) -> bool {
            self.0.push(format!("{goal:?} {}", string.escape_ascii()));
            true
        }

        fn word(&mut self, goal: Goal, word: Option<bool>) -> bool {
            self.0.push(format!("{goal:?} {word:?}"));
            true
        }
    }

    fn tree() -> Node {
        let mut root = Node::default();
        root.add(&Path::parse("t").unwrap(), Goal::Time);
        for (index, path) in ["a", "b.c[1]", "a name of more than sixteen bytes"].into_iter().enumerate() {
            root.add(&Path::parse(path).unwrap(), Goal::Point { index, exact: false });
        }
        root
    }

    fn learned(payload: &str) -> Layouts {
        let mut layouts = Layouts::new(3);
        layouts.learn(payload.as_bytes(), &tree(), |_| true);
        layouts
    }

    fn taken(layouts: &Layouts, payload: &str) -> Option<String> {
        let mut seen = Seen::default();
        let is_taken = layouts.follow(0, Text::new(payload.as_bytes()), &mut seen);
        is_taken.then(|| seen.0.join(", ").replace("Point { index: ", "#").replace(", exact: false }", ""))
    }

    #[test]
    fn values_are_read_where_the_rest_is_alike() {
        let layouts =
            learned(r#"{"t":"x","a":1,"b":{"c":[0, 2,{"d":null}]}, "a name of more than sixteen bytes" : true }"#);
        let alike = r#"{"t":"12:00","a":-2.5e-3,"b":{"c":["", 12345678901,{"d":false}]}, "a name of more than sixteen bytes" : null }"#;
        // An element that was a number is a string, so it is not.
        assert_eq!(taken(&layouts, alike), None);
        assert_eq!(
            taken(&layouts, &alike.replace("\"\"", "7")).as_deref(),
            Some("Time 12:00, #0 Real(-0.0025), #1 Integer(12345678901), #2 None")
        );
        for (from, to) in [("}]}", "}] }"), ("sixteen", "fifteen"), (" }", ""), (" }", " } "), ("\"a\"", "\"A\"")] {
            assert_eq!(taken(&layouts, &alike.replace("\"\"", "7").replace(from, to)), None, "{to}");
        }
    }

    #[test]
    fn payloads_of_few_bytes_are_read_to_their_end() {
        let mut root = Node::default();
        root.add(&Path::parse("$").unwrap(), Goal::Time);
        let mut layouts = Layouts::new(3);
        layouts.learn(b"1", &root, |_| true);
        for (payload, expected) in [
            ("21.5", Some("Time Real(21.5)")),
            ("1234567", Some("Time Integer(1234567)")),
            ("12345678", Some("Time Integer(12345678)")),
            ("123456789012345678", Some("Time Integer(123456789012345678)")),
            ("1234567890123456789", None),
            ("-0", Some("Time Real(-0.0)")),
            ("1e5", Some("Time Real(100000.0)")),
            ("0.1234567890123456", Some("Time Real(0.1234567890123456)")),
            ("01", None),
            ("1.", None),
            ("1e", None),
            ("-", None),
            ("", None),
            ("1 ", None),
        ] {
            assert_eq!(taken(&layouts, payload).as_deref(), expected, "{payload}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_not_learned() {
        let deep = |depth: usize| "[".repeat(depth) + "1" + &"]".repeat(depth);
        assert_eq!(learned(&deep(64)).len(), 1);
        let many = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(learned(&many(STEPS_MAX - 1)).len(), 1);
        for payload in
            [r#"{"a":{}}"#, r#"{"a":"\n"}"#, r#"{"\n":1}"#, "1234567890123456789", &deep(65), &many(STEPS_MAX)]
        {
            assert_eq!(learned(payload).len(), 0, "{payload}");
        }
        let mut layouts = Layouts::new(3);
        layouts.learn(b"{\"a\":1}", &tree(), |goals| goals.len() == 2);
        assert_eq!(layouts.len(), 0);
    }

    #[test]
    fn what_stands_far_apart_is_not_taken_apart() {
        let json = " ".repeat(1 << 20) + "1";
        let text = Text::new(json.as_bytes());
        let mut learner = Learner { text, steps: Vec::new(), steps_max: STEPS_MAX, goals: Vec::new(), known: 0 };
        assert_eq!(learner.value(0, None, 0), None);
        assert_eq!(learner.steps.capacity(), 0);
    }

    #[test]
    fn layouts_are_bounded_and_learned_seldom_where_none_is_met_again() {
        let mut layouts = Layouts::new(3);
        let mut learned = 0;
        for index in 0..u32::from(u16::MAX) {
            let before = layouts.len();
            layouts.learn(format!("{{\"{index}\":[{}1]}}", "1,".repeat(100)).as_bytes(), &tree(), |_| true);
            learned += u32::from(layouts.len() != before);
            assert!(layouts.kept.iter().map(|layout| layout.0.len()).sum::<usize>() <= STEPS_MAX);
        }
        assert_eq!(learned, LEARNED_AT_ONCE + u32::from(u16::MAX) / LEARNED_EVERY);
    }
}
