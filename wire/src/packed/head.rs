//! The head of an item of CBOR (RFC 8949 section 3).

/// The major types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Major {
    Unsigned,
    Negative,
    Bytes,
    Text,
    Array,
    Map,
    Tag,
    Simple,
}

/// A head that is well-formed by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) major: Major,
    /// `None` for an indefinite length, and for a break.
    pub(super) argument: Option<u64>,
    /// Whether no shorter head says the same; of floats and simple values, whether it is one byte.
    pub(super) is_shortest: bool,
}

/// A head that is not well-formed.
#[derive(Debug)]
pub(super) struct Malformed;

impl Head {
    /// Reads a head, and returns what is behind it; `None` if more has to come.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Head, &[u8])>, Malformed> {
        let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
        let major = match first >> 5 {
            0 => Major::Unsigned,
            1 => Major::Negative,
            2 => Major::Bytes,
            3 => Major::Text,
            4 => Major::Array,
            5 => Major::Map,
            6 => Major::Tag,
            _ => Major::Simple,
        };
        let width = match first & 0x1f {
            argument @ 0..24 => {
                return Ok(Some((
                    Head { major, argument: Some(u64::from(argument)), is_shortest: true },
                    rest,
                )));
            }
            width @ 24..28 => 1 << (width - 24),
            31 if !matches!(major, Major::Unsigned | Major::Negative | Major::Tag) => {
                return Ok(Some((Head { major, argument: None, is_shortest: true }, rest)));
            }
            _ => return Err(Malformed),
        };
        let Some((argument, rest)) = rest.split_at_checked(width) else { return Ok(None) };
        let argument = argument.iter().fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte));
        let least = match width {
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        let is_shortest = argument >= least && major != Major::Simple;
        Ok(Some((Head { major, argument: Some(argument), is_shortest }, rest)))
    }

    /// Returns the definite length.
    pub(super) fn length(&self) -> Option<usize> {
        self.argument.and_then(|length| usize::try_from(length).ok())
    }

    pub(super) fn is_break(&self) -> bool {
        self.major == Major::Simple && self.argument.is_none()
    }

    /// Returns whether it is a simple value that stands for a text in a packed body.
    pub(super) fn is_known_text(&self) -> bool {
        self.major == Major::Simple && self.is_shortest && self.argument.is_some_and(|value| value < 16)
    }
}

/// Writes the shortest head.
pub(super) fn write_head(major: Major, argument: u64, to: &mut Vec<u8>) {
    let major = (major as u8) << 5;
    let bytes = argument.to_be_bytes();
    let (more, width) = match argument {
        0..24 => return to.push(major | argument as u8),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    to.push(major | more);
    to.extend(bytes.iter().skip(bytes.len() - width));
}
