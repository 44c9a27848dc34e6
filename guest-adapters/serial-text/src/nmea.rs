//! NMEA 0183: the checksum of a sentence, and its angles.

use std::fmt;

/// Why a line is no sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadSentence {
    /// It does not begin with `$` or `!`.
    NoStart,
    /// It does not end with `*` and two hexadecimal digits.
    NoChecksum,
    /// The checksum is another one.
    Mismatch {
        /// What the line says.
        said: u8,
        /// What its characters give.
        is: u8,
    },
}

impl fmt::Display for BadSentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadSentence::NoStart => f.write_str("expected `$` or `!` at the beginning of the sentence"),
            BadSentence::NoChecksum => {
                f.write_str("expected `*` and two hexadecimal digits at the end of the sentence")
            }
            BadSentence::Mismatch { said, is } => {
                write!(f, "the checksum says {said:02X}, the sentence gives {is:02X}")
            }
        }
    }
}

/// What stands between `$` or `!` and `*`, and whether the checksum is right. A line that is no sentence is given back as far
/// as it goes, so that it can be said which points it would have been for.
pub(crate) fn sentence(line: &str) -> (&str, Result<(), BadSentence>) {
    let (started, begun) = match line.strip_prefix(['$', '!']) {
        Some(rest) => (rest, Ok(())),
        None => (line, Err(BadSentence::NoStart)),
    };
    let Some((body, checksum)) = started.rsplit_once('*') else {
        return (started, begun.and(Err(BadSentence::NoChecksum)));
    };
    (body, begun.and_then(|()| verify(body, checksum)))
}

fn verify(body: &str, checksum: &str) -> Result<(), BadSentence> {
    let is = body.bytes().fold(0, |sum, byte| sum ^ byte);
    let is_hex = checksum.len() == 2 && checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
    let said = u8::from_str_radix(checksum, 16).ok().filter(|_| is_hex).ok_or(BadSentence::NoChecksum)?;
    if said == is { Ok(()) } else { Err(BadSentence::Mismatch { said, is }) }
}

/// An angle such as `4807.038,N` in degrees: degrees, two digits of minutes, their fraction, and the hemisphere.
#[must_use]
pub(crate) fn angle(text: &str) -> Option<f64> {
    let (number, hemisphere) = text.split_once(',')?;
    let point = number.find('.').unwrap_or(number.len());
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !digits || point < 3 {
        return None;
    }
    let (degrees, minutes) = number.split_at(point - 2);
    let (degrees, minutes) = (degrees.parse::<f64>().ok()?, minutes.parse::<f64>().ok()?);
    let limit = match hemisphere {
        "N" | "S" => 90.0,
        "E" | "W" => 180.0,
        _ => return None,
    };
    let angle = degrees + minutes / 60.0;
    let negative = matches!(hemisphere, "S" | "W");
    (minutes < 60.0 && angle <= limit).then_some(if negative { -angle } else { angle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_with_the_right_checksum_are_taken() {
        for line in [
            "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47",
            "!AIVDM,1,1,,A,13aEOK?P00PD2wVMdLDRhgvL289?,0*26",
        ] {
            let (body, result) = sentence(line);
            assert_eq!(result, Ok(()), "{line}");
            assert_eq!(body, &line[1..line.len() - 3]);
        }
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        let long = "$GPGGA,123519*48";
        for (line, wrong) in [
            ("GPGGA*00", BadSentence::NoStart),
            ("$GPGGA", BadSentence::NoChecksum),
            ("$GPGGA*4", BadSentence::NoChecksum),
            ("$GPGGA*+4", BadSentence::NoChecksum),
            ("$GPGGA*00", BadSentence::Mismatch { said: 0, is: 0x56 }),
        ] {
            assert_eq!(sentence(line).1, Err(wrong), "{line}");
        }
        assert!(sentence(long).1.is_err());
    }

    #[test]
    fn every_single_changed_character_is_found() {
        let line = "$GPGGA,123519,4807.038,N*30";
        let sum = line[1..line.len() - 3].bytes().fold(0, |sum, byte| sum ^ byte);
        let line = format!("{}{sum:02X}", &line[..line.len() - 2]);
        assert_eq!(sentence(&line).1, Ok(()));
        for at in 0..line.len() {
            let mut torn = line.clone().into_bytes();
            torn[at] ^= 1;
            assert!(sentence(&String::from_utf8(torn).unwrap()).1.is_err(), "position {at}");
            assert!(sentence(&line[..at]).1.is_err(), "cut at {at}");
        }
    }

    #[test]
    fn angles_become_degrees() {
        for (text, degrees) in
            [("4807.038,N", 48.1173), ("01131.000,E", 11.516_666_666_666_667), ("3351.5,S", -33.858_333_333_333_334)]
        {
            assert!((angle(text).unwrap() - degrees).abs() < 1e-9, "{text}");
        }
        for text in ["4807.038", "4860.0,N", "9100.0,N", "07,N", "-4807.0,N", "4807.038,X", ",N", "48x7.0,N"] {
            assert_eq!(angle(text), None, "{text}");
        }
    }
}
