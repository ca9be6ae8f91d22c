//! Extensions of hellos (RFC 5246 section 7.4.1.4): type and value, and the values that say something about
//! records.

use crate::reader::Reader;

macro_rules! extensions {
    ($($constant:ident = $number:literal, $name:literal;)*) => {
        $(
            #[doc = concat!("ExtensionType ", $number, ", `", $name, "`")]
            pub const $constant: u16 = $number;
        )*

        /// Returns what the registry calls a type, e.g. `extended_master_secret`; None for any that is not
        /// listed here.
        pub const fn name(kind: u16) -> Option<&'static str> {
            match kind {
                $($number => Some($name),)*
                _ => None,
            }
        }
    };
}

extensions! {
    SERVER_NAME = 0, "server_name";
    MAX_FRAGMENT_LENGTH = 1, "max_fragment_length";
    STATUS_REQUEST = 5, "status_request";
    SUPPORTED_GROUPS = 10, "supported_groups";
    EC_POINT_FORMATS = 11, "ec_point_formats";
    SIGNATURE_ALGORITHMS = 13, "signature_algorithms";
    USE_SRTP = 14, "use_srtp";
    APPLICATION_LAYER_PROTOCOL_NEGOTIATION = 16, "application_layer_protocol_negotiation";
    ENCRYPT_THEN_MAC = 22, "encrypt_then_mac";
    EXTENDED_MASTER_SECRET = 23, "extended_master_secret";
    RECORD_SIZE_LIMIT = 28, "record_size_limit";
    SESSION_TICKET = 35, "session_ticket";
    SUPPORTED_VERSIONS = 43, "supported_versions";
    CONNECTION_ID = 54, "connection_id";
    RENEGOTIATION_INFO = 65281, "renegotiation_info";
}

/// The longest plaintext of a record, in both directions (RFC 6066 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MaxFragmentLength {
    /// 512 bytes, 2^9
    Bytes512 = 1,
    /// 1,024 bytes, 2^10
    Bytes1024 = 2,
    /// 2,048 bytes, 2^11
    Bytes2048 = 3,
    /// 4,096 bytes, 2^12
    Bytes4096 = 4,
}

impl MaxFragmentLength {
    /// Returns the length of a code on the wire; None for a code that RFC 6066 does not have.
    pub const fn from_code(code: u8) -> Option<MaxFragmentLength> {
        Some(match code {
            1 => MaxFragmentLength::Bytes512,
            2 => MaxFragmentLength::Bytes1024,
            3 => MaxFragmentLength::Bytes2048,
            4 => MaxFragmentLength::Bytes4096,
            _ => return None,
        })
    }

    /// Returns the length in bytes.
    pub const fn bytes(self) -> usize {
        1 << (8 + self as u8)
    }
}

/// The extensions of a hello, all of them whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    /// Those of a hello that has none.
    pub const NONE: Extensions<'static> = Extensions(&[]);

    /// Takes the list without its length; None if one of them goes beyond its end.
    pub fn parse(list: &'a [u8]) -> Option<Extensions<'a>> {
        let mut rest = Reader(list);
        while !rest.0.is_empty() {
            rest.u16()?;
            rest.vector16()?;
        }
        Some(Extensions(list))
    }

    /// Returns type and value of each, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = Reader(self.0);
        std::iter::from_fn(move || Some((rest.u16()?, rest.vector16()?)))
    }

    /// Returns the value of the first extension of this type.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// Returns the id that the sender of the hello wants to see in the records that it receives (RFC 9146
    /// section 3). An empty one: it will send an id, and wants none. None without the extension, or if its
    /// value is not an id.
    pub fn connection_id(&self) -> Option<&'a [u8]> {
        let mut rest = Reader(self.get(CONNECTION_ID)?);
        rest.vector8().filter(|_| rest.0.is_empty())
    }

    /// Returns the longest plaintext that the hello asks for, or agrees to; None without the extension, or if
    /// its value has no meaning.
    pub fn max_fragment_length(&self) -> Option<MaxFragmentLength> {
        let &[code] = self.get(MAX_FRAGMENT_LENGTH)? else { return None };
        MaxFragmentLength::from_code(code)
    }

    /// Returns whether the hello has the extension of RFC 7627, after which the master secret covers the
    /// whole handshake.
    pub fn has_extended_master_secret(&self) -> bool {
        self.get(EXTENDED_MASTER_SECRET).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_come_in_their_order_and_the_first_of_a_type_counts() {
        let list = [0, 23, 0, 0, 0, 1, 0, 1, 3, 0, 1, 0, 1, 4];
        let extensions = Extensions::parse(&list).unwrap();
        let all: Vec<_> = extensions.iter().collect();
        assert_eq!(all, [(EXTENDED_MASTER_SECRET, &[][..]), (1, &[3]), (1, &[4])]);
        assert_eq!(extensions.get(MAX_FRAGMENT_LENGTH), Some(&[3][..]));
        assert_eq!(extensions.get(CONNECTION_ID), None);
        for end in [1, 2, 3, 5, 8, 10, 13] {
            assert_eq!(Extensions::parse(&list[..end]), None, "cut at {end}");
        }
        assert_eq!(Extensions::parse(&[]), Some(Extensions::NONE));
    }

    #[test]
    fn values_that_have_no_meaning_are_as_good_as_none() {
        let id = |value: &[u8]| {
            let list = [&[0, 54, 0, value.len() as u8][..], value].concat();
            Extensions::parse(&list).unwrap().connection_id().map(<[u8]>::to_vec)
        };
        assert_eq!(id(&[2, 7, 8]), Some(vec![7, 8]));
        assert_eq!(id(&[0]), Some(vec![]));
        assert_eq!([id(&[]), id(&[2, 7]), id(&[1, 7, 8])], [None, None, None]);
        let length = |value: &[u8]| {
            let list = [&[0, 1, 0, value.len() as u8][..], value].concat();
            Extensions::parse(&list).unwrap().max_fragment_length()
        };
        assert_eq!(length(&[4]), Some(MaxFragmentLength::Bytes4096));
        assert_eq!([length(&[]), length(&[0]), length(&[5]), length(&[1, 1])], [None; 4]);
    }

    #[test]
    fn each_code_of_max_fragment_length_has_its_bytes() {
        let bytes =
            [0, 1, 2, 3, 4, 5].map(|code| MaxFragmentLength::from_code(code).map(MaxFragmentLength::bytes));
        assert_eq!(bytes, [None, Some(512), Some(1024), Some(2048), Some(4096), None]);
    }

    #[test]
    fn types_have_the_names_of_the_registry() {
        assert_eq!(name(CONNECTION_ID), Some("connection_id"));
        assert_eq!(name(0xff01), Some("renegotiation_info"));
        assert_eq!(name(0x1a1a), None);
    }
}
