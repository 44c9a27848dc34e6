//! The words of a device, decoded by the codecs of `modbus-registers` as its poll does.

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::{Scaling, text::Encoding};
use modbus_registers::codec::{Codec, Shape};
use modbus_registers::settings::WordOrder;

/// Points of the map.
const POINTS: usize = 1_000;

/// Points with their places in an answer.
#[derive(Debug)]
pub(crate) struct Registers {
    items: Vec<(Point, Codec, usize)>,
    words: Vec<u16>,
}

impl Registers {
    /// # Errors
    /// The host's, when it declares no points.
    pub(crate) fn new() -> Result<Self, Fault> {
        let scaling = Scaling::new(0.1, 0.0);
        let codecs: Vec<Codec> = (0..POINTS).map(|index| codec(index, scaling)).collect();
        let names = (0..).map(|index| format!("r{index}"));
        let declared = names.zip(&codecs).map(|(name, codec)| NewPoint::new(&name, codec.kind()));
        let points = points::declare(declared.collect())?;
        let mut next = 0;
        let mut items = Vec::with_capacity(POINTS);
        for (point, codec) in points.into_iter().zip(codecs) {
            items.push((point, codec, next));
            next += usize::from(codec.words());
        }
        // Two letters a word, and a number in any other shape.
        let words = (0..next).map(|index| 0x4141 + (index % 20) as u16).collect();
        Ok(Self { items, words })
    }

    /// Decodes them all.
    ///
    /// # Errors
    /// A fault where a point's words are missing or hold none of its values.
    pub(crate) fn decode(&mut self) -> Result<Vec<Reading>, Fault> {
        let mut readings = Vec::with_capacity(self.items.len());
        for (point, codec, first) in &self.items {
            let words = self.words.get(*first..first + usize::from(codec.words()));
            let words = words.ok_or_else(|| Fault::retry("short-answer", "words are missing"))?;
            let value = codec.decode(words).map_err(|why| Fault::reject("bad-registers", why.reason()))?;
            readings.push(Reading::at(*point, value));
        }
        Ok(readings)
    }
}

/// What devices hold: mostly scaled 16-bit numbers and floats, some counters and flags, and a text now and then.
fn codec(index: usize, tenth: Option<Scaling>) -> Codec {
    let (shape, order, scaling) = match index % 20 {
        0..6 => (Shape::Unsigned(1), WordOrder::Abcd, tenth),
        6..9 => (Shape::Signed(1), WordOrder::Abcd, None),
        9..14 => (Shape::F32, WordOrder::Cdab, None),
        14..17 => (Shape::Unsigned(2), WordOrder::Abcd, None),
        17 => (Shape::Bit(3), WordOrder::Abcd, None),
        18 => (Shape::F64, WordOrder::Abcd, None),
        _ => (Shape::Text(4, Encoding::default()), WordOrder::Abcd, None),
    };
    Codec { shape, order, scaling }
}
