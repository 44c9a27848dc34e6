//! Values to registers and back: pure, without a device.

use crate::settings::WordOrder;
use bulkhead_sdk::text::Encoding;
use bulkhead_sdk::{Kind, Scaling, Status, Value};

/// How registers hold one value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Codec {
    /// The form in the registers.
    pub shape: Shape,
    /// The order of words and bytes.
    pub order: WordOrder,
    /// From the register's number to the value's; none: as it is.
    pub scaling: Option<Scaling>,
}

/// The form of a value in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A bit of its own, or a whole register: 0 is false.
    Boolean,
    /// One bit of a register; 0 is the lowest.
    Bit(u8),
    /// 1, 2 or 4 registers, unsigned.
    Unsigned(u8),
    /// 1, 2 or 4 registers, two's complement.
    Signed(u8),
    /// Two registers.
    F32,
    /// Four registers.
    F64,
    /// 1 or 2 registers of four decimal digits each.
    Bcd(u8),
    /// This many registers of two characters each, in rising order; the word order says which byte comes first.
    Text(u8, Encoding),
}

/// Why registers hold no value of their shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// A float that is not a number: the device's way to say it has none.
    NotANumber,
    /// A float that is infinite.
    Infinite,
    /// More than 63 bits.
    TooLarge,
    /// A register with a digit above 9.
    NotDecimal,
    /// Bytes that are no text in the encoding.
    NotText,
}

impl Unreadable {
    /// The status of a reading without a value for this reason.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Unreadable::NotANumber => Status::BAD_NO_DATA,
            Unreadable::Infinite | Unreadable::TooLarge => Status::BAD_OUT_OF_RANGE,
            Unreadable::NotDecimal | Unreadable::NotText => Status::BAD_DECODING_ERROR,
        }
    }

    /// A sentence for people.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Unreadable::NotANumber => "the float is NaN: the device has no value",
            Unreadable::Infinite => "the float is infinite",
            Unreadable::TooLarge => "the number needs more than 63 bits; give the point a scale, or another type",
            Unreadable::NotDecimal => "a digit is above 9, so this is no BCD; check the type and the word order",
            Unreadable::NotText => "the bytes are no text in the point's encoding; check `encoding` and the word order",
        }
    }
}

impl Codec {
    /// Registers (or bits, in the tables of bits) it takes.
    #[must_use]
    pub fn words(&self) -> u16 {
        match self.shape {
            Shape::Boolean | Shape::Bit(_) => 1,
            Shape::F32 => 2,
            Shape::F64 => 4,
            Shape::Unsigned(words) | Shape::Signed(words) | Shape::Bcd(words) | Shape::Text(words, _) => words.into(),
        }
    }

    /// The kind of its values: whole numbers stay whole unless they are scaled.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.shape {
            Shape::Boolean | Shape::Bit(_) => Kind::Boolean,
            Shape::Text(..) => Kind::Text,
            Shape::F32 | Shape::F64 => Kind::Real,
            Shape::Unsigned(_) | Shape::Signed(_) | Shape::Bcd(_) if self.scaling.is_some() => Kind::Real,
            Shape::Unsigned(_) | Shape::Signed(_) | Shape::Bcd(_) => Kind::Integer,
        }
    }

    /// The value in `words`, of which there are [`Codec::words`].
    ///
    /// # Errors
    /// [`Unreadable`] where they hold none.
    #[inline]
    pub fn decode(&self, words: &[u16]) -> Result<Value, Unreadable> {
        match self.shape {
            Shape::Boolean => Ok(Value::Boolean(gather(words, self.order) != 0)),
            Shape::Bit(bit) => Ok(Value::Boolean(gather(words, self.order) >> bit & 1 == 1)),
            Shape::Unsigned(_) => self.whole_unsigned(gather(words, self.order)),
            Shape::Signed(count) => Ok(self.whole(sign_extend(gather(words, self.order), count))),
            Shape::F32 => self.float(f32::from_bits(gather(words, self.order) as u32).into()),
            Shape::F64 => self.float(f64::from_bits(gather(words, self.order))),
            Shape::Bcd(_) => from_bcd(gather(words, self.order)).map(|number| self.whole(number)),
            Shape::Text(_, encoding) => text(words, self.order, encoding),
        }
    }

    fn whole(&self, number: i64) -> Value {
        match self.scaling {
            None => Value::Integer(number),
            Some(scaling) => Value::Real(scaling.apply(number as f64)),
        }
    }

    fn whole_unsigned(&self, number: u64) -> Result<Value, Unreadable> {
        match (i64::try_from(number), self.scaling) {
            (Ok(number), _) => Ok(self.whole(number)),
            (Err(_), Some(scaling)) => Ok(Value::Real(scaling.apply(number as f64))),
            (Err(_), None) => Err(Unreadable::TooLarge),
        }
    }

    fn float(&self, number: f64) -> Result<Value, Unreadable> {
        let value = self.scaling.map_or(number, |scaling| scaling.apply(number));
        if value.is_finite() {
            Ok(Value::Real(value))
        } else if value.is_nan() {
            Err(Unreadable::NotANumber)
        } else {
            Err(Unreadable::Infinite)
        }
    }

    /// The words that hold `value`. For a bit of a register: 0 or 1, to be put in its place by [`with_bit`].
    ///
    /// # Errors
    /// A sentence that says what fits.
    pub fn encode(&self, value: &Value) -> Result<Vec<u16>, String> {
        let words = usize::from(self.words());
        match (self.shape, value) {
            (Shape::Boolean, Value::Boolean(value)) => Ok(scatter(u64::from(*value), words, self.order)),
            (Shape::Bit(_), Value::Boolean(value)) => Ok(vec![u16::from(*value)]),
            (Shape::Text(_, encoding), Value::Text(text)) => text_words(text, words, self.order, encoding),
            (Shape::F32, Value::Real(value)) => {
                let number = self.number(*value) as f32;
                let fits = number.is_finite().then(|| scatter(number.to_bits().into(), words, self.order));
                fits.ok_or_else(|| format!("{value} does not fit into an f32"))
            }
            (Shape::F64, Value::Real(value)) => {
                let number = self.number(*value);
                let fits = number.is_finite().then(|| scatter(number.to_bits(), words, self.order));
                fits.ok_or_else(|| format!("{value} does not fit into an f64"))
            }
            (Shape::Unsigned(_) | Shape::Signed(_) | Shape::Bcd(_), Value::Integer(value))
                if self.scaling.is_none() =>
            {
                self.whole_words(i128::from(*value))
            }
            (Shape::Unsigned(_) | Shape::Signed(_) | Shape::Bcd(_), Value::Real(value)) if self.scaling.is_some() => {
                let number = self.number(*value).round();
                if !number.is_finite() {
                    return Err(format!("{value} is no number that registers hold"));
                }
                self.whole_words(number as i128).map_err(|range| format!("{value} is {number} in the device; {range}"))
            }
            _ => Err(format!("expected a value of kind {}, got {}", self.kind().name(), value.kind().name())),
        }
    }

    fn number(&self, value: f64) -> f64 {
        self.scaling.map_or(value, |scaling| scaling.invert(value))
    }

    fn whole_words(&self, number: i128) -> Result<Vec<u16>, String> {
        let words = self.words();
        let bits = u32::from(words) * 16;
        let (low, high) = match self.shape {
            Shape::Signed(_) => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
            Shape::Bcd(count) => (0, 10i128.pow(u32::from(count) * 4) - 1),
            _ => (0, (1i128 << bits) - 1),
        };
        if !(low..=high).contains(&number) {
            return Err(format!("{low} to {high} fit, {number} does not"));
        }
        let raw = if matches!(self.shape, Shape::Bcd(_)) { to_bcd(number as u64) } else { number as u64 };
        Ok(scatter(raw, words.into(), self.order))
    }
}

/// A register with one bit changed. The word order decides which byte the bit is in, as in decoding.
#[must_use]
pub fn with_bit(register: u16, bit: u8, order: WordOrder, on: bool) -> u16 {
    let mask = in_order(1 << bit, order);
    if on { register | mask } else { register & !mask }
}

#[inline]
fn in_order(word: u16, order: WordOrder) -> u16 {
    if order.low_byte_first() { word.swap_bytes() } else { word }
}

#[inline]
fn gather(words: &[u16], order: WordOrder) -> u64 {
    let join = |number: u64, word: &u16| number << 16 | u64::from(in_order(*word, order));
    if order.low_word_first() { words.iter().rev().fold(0, join) } else { words.iter().fold(0, join) }
}

fn scatter(number: u64, count: usize, order: WordOrder) -> Vec<u16> {
    let mut words: Vec<u16> = (0..count).rev().map(|at| in_order((number >> (16 * at)) as u16, order)).collect();
    if order.low_word_first() {
        words.reverse();
    }
    words
}

#[inline]
fn sign_extend(number: u64, words: u8) -> i64 {
    let unused = 64 - 16 * u32::from(words);
    ((number << unused) as i64) >> unused
}

fn from_bcd(raw: u64) -> Result<i64, Unreadable> {
    (0..8).rev().try_fold(0, |number, at| match raw >> (4 * at) & 0xF {
        digit @ 0..=9 => Ok(number * 10 + digit as i64),
        _ => Err(Unreadable::NotDecimal),
    })
}

fn to_bcd(mut number: u64) -> u64 {
    let mut raw = 0;
    for at in 0..8 {
        raw |= (number % 10) << (4 * at);
        number /= 10;
    }
    raw
}

fn text(words: &[u16], order: WordOrder, encoding: Encoding) -> Result<Value, Unreadable> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| in_order(*word, order).to_be_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = encoding.decode(&bytes[..end]).map_err(|_| Unreadable::NotText)?;
    Ok(Value::Text(text.trim_end_matches(' ').to_owned()))
}

fn text_words(text: &str, words: usize, order: WordOrder, encoding: Encoding) -> Result<Vec<u16>, String> {
    let mut bytes = encoding.encode(text).ok_or_else(|| format!("`{text}` has a character the encoding lacks"))?;
    if bytes.contains(&0) {
        return Err("the text holds a zero byte, where the device would end it".to_owned());
    }
    let room = words * 2;
    if bytes.len() > room {
        return Err(format!("`{text}` takes {} bytes and the registers hold {room}", bytes.len()));
    }
    bytes.resize(room, 0);
    Ok(bytes.chunks(2).map(|pair| in_order(u16::from_be_bytes([pair[0], pair[1]]), order)).collect())
}
