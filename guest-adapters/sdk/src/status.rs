//! How far a reading can be trusted: the statuses an adapter sets.

/// An OPC UA StatusCode (OPC 10000-4 §7.39): the two top bits say Good, Uncertain or Bad, the rest why. An open set: any
/// code may be written as `Status(0x…)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($($(#[$doc:meta])* $constant:ident = $code:literal, $name:literal;)*) => {
        impl Status {
            $($(#[$doc])* pub const $constant: Status = Status($code);)*

            /// Every status that has a name, with its name.
            pub const NAMED: &'static [(&'static str, Status)] = &[$(($name, Status($code)),)*];
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
    /// Something inside the adapter failed.
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
    /// The status of a name such as `BadTimeout`; none for a name that no status here has.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Status> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, status)| *status)
    }

    /// Its name; none for a code without one here.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::NAMED.iter().find(|(_, known)| *known == self).map(|(name, _)| *name)
    }

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_status() {
        for (name, status) in Status::NAMED {
            assert_eq!(Status::from_name(name), Some(*status));
            assert_eq!(status.name(), Some(*name));
            assert_eq!(status.is_bad(), name.starts_with("Bad"), "{name}");
        }
        assert_eq!(Status::from_name("BadHairDay"), None);
    }
}
