//! The printer: asking whether it can print, sending labels.

use bulkhead_sdk::prelude::*;

/// The transport's role.
const PRINTER: &str = "printer";
/// The command that asks for the host status return: three lines, each between STX and ETX.
const ASK: &[u8] = b"~HS";
/// The answer ends with this silence.
const SILENCE_MS: u32 = 50;

/// Why a printer does not print now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    PaperOut,
    HeadOpen,
    RibbonOut,
    Paused,
    BufferFull,
}

/// Asks the printer whether it can print, and says so in a sentence.
///
/// # Errors
/// Why it cannot, to be tried again; or the host's fault.
pub(crate) fn check() -> Result<(), Fault> {
    let answer = tcp::exchange(PRINTER, ASK, Some(&Framing::IdleGapMs(SILENCE_MS)), None)?;
    match trouble(&answer) {
        Ok(None) => Ok(()),
        Ok(Some(trouble)) => {
            Err(Fault::retry(trouble.code(), format!("the printer cannot print: {}", trouble.words())))
        }
        Err(cause) => Err(Fault::retry("bad-answer", format!("the printer's answer to ~HS cannot be read: {cause}"))),
    }
}

/// Sends a label.
///
/// # Errors
/// The host's fault.
pub(crate) fn print(zpl: &str) -> Result<(), Fault> {
    tcp::send(PRINTER, zpl.as_bytes())
}

/// What a host status return says: `STX aaa,b,c,… ETX`, `STX mmm,n,o,p,… ETX`, `STX xxxx,y ETX`. `b` paper out, `c` paused, `f`
/// buffer full; `o` head open, `p` ribbon out.
fn trouble(answer: &[u8]) -> Result<Option<Trouble>, String> {
    let text = String::from_utf8_lossy(answer);
    let lines: Vec<Vec<&str>> =
        text.split('\x02').skip(1).filter_map(|line| Some(line.split_once('\x03')?.0.split(',').collect())).collect();
    let flag = |line: usize, field: usize| -> Result<bool, String> {
        let found = lines.get(line).and_then(|fields| fields.get(field)).map(|flag| flag.trim());
        match found {
            Some("0") => Ok(false),
            Some("1") => Ok(true),
            _ => Err(format!("{text:?}: expected 0 or 1 in field {} of line {}", field + 1, line + 1)),
        }
    };
    for (line, field, trouble) in [
        (0, 1, Trouble::PaperOut),
        (1, 2, Trouble::HeadOpen),
        (1, 3, Trouble::RibbonOut),
        (0, 2, Trouble::Paused),
        (0, 5, Trouble::BufferFull),
    ] {
        if flag(line, field)? {
            return Ok(Some(trouble));
        }
    }
    Ok(None)
}

impl Trouble {
    fn code(self) -> &'static str {
        match self {
            Trouble::PaperOut => "paper-out",
            Trouble::HeadOpen => "head-open",
            Trouble::RibbonOut => "ribbon-out",
            Trouble::Paused => "paused",
            Trouble::BufferFull => "buffer-full",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Trouble::PaperOut => "it has no paper",
            Trouble::HeadOpen => "its print head is open",
            Trouble::RibbonOut => "it has no ribbon",
            Trouble::Paused => "somebody has paused it",
            Trouble::BufferFull => "it has more labels waiting than it can hold",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(first: &str, second: &str) -> Vec<u8> {
        format!("\x02{first}\x03\r\n\x02{second}\x03\r\n\x020000,0\x03\r\n").into_bytes()
    }

    const FINE: (&str, &str) = ("030,0,0,0320,000,0,0,0,000,0,0,0", "000,0,0,0,0,2,4,0,00000000,1,000");

    #[test]
    fn each_flag_is_its_own_trouble() {
        let of = |first: &str, second: &str| trouble(&answer(first, second));
        assert_eq!(of(FINE.0, FINE.1), Ok(None));
        assert_eq!(of("030,1,0,0320,000,0,0,0,000,0,0,0", FINE.1), Ok(Some(Trouble::PaperOut)));
        assert_eq!(of("030,0,1,0320,000,0,0,0,000,0,0,0", FINE.1), Ok(Some(Trouble::Paused)));
        assert_eq!(of("030,0,0,0320,000,1,0,0,000,0,0,0", FINE.1), Ok(Some(Trouble::BufferFull)));
        assert_eq!(of(FINE.0, "000,0,1,0,0,2,4,0,00000000,1,000"), Ok(Some(Trouble::HeadOpen)));
        assert_eq!(of(FINE.0, "000,0,0,1,0,2,4,0,00000000,1,000"), Ok(Some(Trouble::RibbonOut)));
    }

    #[test]
    fn what_is_no_status_is_told() {
        for wrong in [&b""[..], b"hello", b"\x02030,0,0\x03", b"\x02030,x,0,0,0,0\x03\r\n\x02000,0,0,0\x03"] {
            assert!(trouble(wrong).is_err(), "{wrong:?}");
        }
    }
}
