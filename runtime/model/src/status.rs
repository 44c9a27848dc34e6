//! How far a reading can be trusted: the OPC UA StatusCode, an open set of 32-bit numbers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An OPC UA StatusCode (OPC 10000-4 §7.39): the two top bits say Good, Uncertain or Bad, the rest why.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($($(#[$doc:meta])* $constant:ident = $code:literal, $name:literal;)*) => {
        impl Status {
            $($(#[$doc])* pub const $constant: Status = Status($code);)*

            /// The name of a status this gateway writes itself, such as `BadCommunicationError`; others have none.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($code => Some($name),)* _ => None }
            }

            /// The status of a name as [`Status::name`] gives it.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Status> {
                match name { $($name => Some(Status($code)),)* _ => None }
            }
        }
    };
}

statuses! {
    /// The value is right.
    GOOD = 0x0000_0000, "Good";
    /// The value may be wrong, for no stated reason.
    UNCERTAIN = 0x4000_0000, "Uncertain";
    /// The value is older than it should be.
    UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000, "UncertainLastUsableValue";
    /// The source says the value is not accurate.
    UNCERTAIN_SENSOR_NOT_ACCURATE = 0x4093_0000, "UncertainSensorNotAccurate";
    /// No value, for no stated reason.
    BAD = 0x8000_0000, "Bad";
    /// Something inside the gateway or the adapter failed.
    BAD_INTERNAL_ERROR = 0x8002_0000, "BadInternalError";
    /// The device could not be reached.
    BAD_COMMUNICATION_ERROR = 0x8005_0000, "BadCommunicationError";
    /// What came could not be understood.
    BAD_DECODING_ERROR = 0x8007_0000, "BadDecodingError";
    /// The device did not answer in time.
    BAD_TIMEOUT = 0x800A_0000, "BadTimeout";
    /// The device refused: the address or name is not there.
    BAD_NODE_ID_UNKNOWN = 0x8034_0000, "BadNodeIdUnknown";
    /// The value is outside of what the point can hold.
    BAD_OUT_OF_RANGE = 0x803C_0000, "BadOutOfRange";
    /// The value has another type than the point.
    BAD_TYPE_MISMATCH = 0x8074_0000, "BadTypeMismatch";
    /// The point's settings are wrong.
    BAD_CONFIGURATION_ERROR = 0x8089_0000, "BadConfigurationError";
    /// The connection is not up.
    BAD_NOT_CONNECTED = 0x808A_0000, "BadNotConnected";
    /// The device says it has failed.
    BAD_DEVICE_FAILURE = 0x808B_0000, "BadDeviceFailure";
    /// The sensor says it has failed.
    BAD_SENSOR_FAILURE = 0x808C_0000, "BadSensorFailure";
    /// The source gave no value.
    BAD_NO_DATA = 0x809B_0000, "BadNoData";
}

impl Status {
    /// Whether the value is right.
    #[must_use]
    pub fn is_good(self) -> bool {
        self.0 >> 30 == 0
    }

    /// Whether there is no usable value.
    #[must_use]
    pub fn is_bad(self) -> bool {
        self.0 >> 31 == 1
    }

    /// `Good`, `Uncertain` or `Bad`.
    #[must_use]
    pub fn severity(self) -> &'static str {
        if self.is_good() {
            "Good"
        } else if self.is_bad() {
            "Bad"
        } else {
            "Uncertain"
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}({:#010X})", self.severity(), self.0),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_follow_the_two_top_bits() {
        assert!(Status::GOOD.is_good() && Status(0x002F_0000).is_good());
        assert!(!Status::UNCERTAIN.is_good() && !Status::UNCERTAIN.is_bad());
        assert!(Status::BAD_TIMEOUT.is_bad() && Status(0xC000_0000).is_bad());
    }

    #[test]
    fn names_go_both_ways_and_unknown_codes_show_their_number() {
        assert_eq!(Status::from_name("BadTimeout"), Some(Status::BAD_TIMEOUT));
        assert_eq!(Status(0x80AB_0000).to_string(), "Bad(0x80AB0000)");
    }
}
