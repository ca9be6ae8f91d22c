//! Records (RFC 6347 section 4.1): several in one datagram; headers parsed and built.
//!
//! Nothing here is authenticated. A record that does not parse ends the datagram: after a wrong length
//! nothing can be found.
//!
//! ```text
//! type 1 | version 2 | epoch 2 | sequence number 6 | length 2 | fragment
//! 25     | version 2 | epoch 2 | sequence number 6 | Connection ID | length 2 | fragment     (RFC 9146 section 4)
//! ```
//!
//! How long a Connection ID is stands nowhere in the record: its receiver has chosen the length.

/// Bytes of a header: type (1), version (2), epoch (2), sequence number (6), length (2).
pub const HEADER: usize = 13;
/// Largest plaintext of a record, in bytes (RFC 5246 section 6.2.1).
pub const MAX_PLAINTEXT: usize = 1 << 14;
/// Largest fragment of a protected record, in bytes (RFC 5246 section 6.2.3).
pub const MAX_FRAGMENT: usize = MAX_PLAINTEXT + 2048;
/// The first epoch with protection, and the only one where nothing is renegotiated.
pub const EPOCH: u16 = 1;
/// DTLS 1.2 on the wire.
pub const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];
/// DTLS 1.0 on the wire: a ClientHello and a HelloVerifyRequest may carry it.
pub const DTLS_1_0: [u8; 2] = [0xfe, 0xff];

/// What a record contains (RFC 5246 section 6.2.1, RFC 9146 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ContentType {
    /// 20, change_cipher_spec (RFC 5246 section 7.1)
    ChangeCipherSpec = 20,
    /// 21, alert (RFC 5246 section 7.2)
    Alert = 21,
    /// 22, handshake (RFC 5246 section 7.3)
    Handshake = 22,
    /// 23, application_data (RFC 5246 section 10)
    ApplicationData = 23,
    /// 25, tls12_cid (RFC 9146 section 4): the header carries a Connection ID, and the plaintext says what
    /// the record contains. See [`super::connection_id`].
    ConnectionId = 25,
}

impl ContentType {
    /// Returns the type of a number; None for one that DTLS 1.2 does not have here.
    pub const fn from_wire(value: u8) -> Option<ContentType> {
        Some(match value {
            20 => ContentType::ChangeCipherSpec,
            21 => ContentType::Alert,
            22 => ContentType::Handshake,
            23 => ContentType::ApplicationData,
            25 => ContentType::ConnectionId,
            _ => return None,
        })
    }
}

/// Epoch (16 bits) and sequence number (48 bits), which together number a record within its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordNumber(u64);

impl RecordNumber {
    /// The last sequence number of an epoch.
    pub const LAST: u64 = (1 << 48) - 1;

    /// Makes a number; the bits of `sequence` above 48 are ignored.
    pub const fn new(epoch: u16, sequence: u64) -> RecordNumber {
        RecordNumber(((epoch as u64) << 48) | (sequence & RecordNumber::LAST))
    }
    /// Returns the epoch: 0 before the first keys, and one more with each ChangeCipherSpec.
    pub const fn epoch(self) -> u16 {
        (self.0 >> 48) as u16
    }
    /// Returns the number within the epoch, below 2^48.
    pub const fn sequence(self) -> u64 {
        self.0 & RecordNumber::LAST
    }
    /// Returns the eight bytes of the header.
    pub const fn to_wire(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// The header of a record without a Connection ID, its values unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the type: see [`ContentType::from_wire`].
    pub content_type: u8,
    /// Version as two bytes, see [`DTLS_1_2`].
    pub version: [u8; 2],
    /// Number of the record.
    pub number: RecordNumber,
    /// Bytes of the fragment that follows.
    pub length: usize,
}

impl Header {
    /// Reads a header, and returns what follows it; None for fewer than [`HEADER`] bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<(Header, &[u8])> {
        let (header, after) = bytes.split_first_chunk::<HEADER>()?;
        let [content_type, v0, v1, n0, n1, n2, n3, n4, n5, n6, n7, l0, l1] = *header;
        let number = RecordNumber(u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7]));
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        Some((Header { content_type, version: [v0, v1], number, length }, after))
    }
}

/// One record as it stands in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What the header says that the record contains.
    pub content_type: ContentType,
    /// Number of the record.
    pub number: RecordNumber,
    /// Connection ID of the header; empty for all types but [`ContentType::ConnectionId`].
    pub connection_id: &'a [u8],
    /// What follows the header: in epoch 0 the content, later the protected content.
    pub fragment: &'a [u8],
    /// Bytes of header and fragment.
    pub raw: &'a [u8],
}

impl Record<'_> {
    /// Returns the version in the header, one of those that [`parse`] accepts.
    pub fn version(&self) -> [u8; 2] {
        if self.raw.get(1..3) == Some(&DTLS_1_0) { DTLS_1_0 } else { DTLS_1_2 }
    }

    /// Returns the record under another number; valid in epoch 0 only, where nothing protects it.
    pub fn renumbered(&self, number: RecordNumber) -> Vec<u8> {
        let mut bytes = self.raw.to_vec();
        if let Some(field) = bytes.get_mut(3..11) {
            field.copy_from_slice(&number.to_wire());
        }
        bytes
    }
}

/// Why the rest of a datagram is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There are fewer bytes than a header has.
    #[error("{0} bytes are fewer than the header of a record has")]
    TooShort(usize),
    /// The version is neither that of DTLS 1.2 nor that of 1.0.
    #[error("{:02x}{:02x} is not the version of a DTLS record", .0[0], .0[1])]
    Version([u8; 2]),
    /// The type is not one of [`ContentType`], or has a Connection ID where none is expected.
    #[error("{0} is not a type of record")]
    Type(u8),
    /// The length is above [`MAX_FRAGMENT`].
    #[error("{0} bytes are more than a record may have")]
    TooLong(usize),
    /// The datagram ends within the record.
    #[error("the record has {length} bytes, of which {here} are here")]
    Cut {
        /// Bytes of the fragment by the header.
        length: usize,
        /// Bytes that follow the header.
        here: usize,
    },
}

/// Iterates over the records of a datagram; ends after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    id_length: Option<usize>,
}

impl<'a> Records<'a> {
    /// Reads a datagram in which no record has a Connection ID.
    pub fn new(datagram: &'a [u8]) -> Records<'a> {
        Records { rest: datagram, id_length: None }
    }

    /// Reads a datagram in which records may have a Connection ID of `id_length` bytes.
    pub fn with_ids(datagram: &'a [u8], id_length: usize) -> Records<'a> {
        Records { rest: datagram, id_length: Some(id_length) }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = match self.id_length {
            Some(length) => parse_with_id(self.rest, length),
            None => parse(self.rest),
        };
        self.rest = parsed.map_or(&[], |(_, rest)| rest);
        Some(parsed.map(|(record, _)| record))
    }
}

/// Parses one record without a Connection ID, and returns what follows it.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<(Record<'_>, &[u8]), Malformed> {
    let (Header { content_type, version, number, length }, after) =
        Header::parse(bytes).ok_or(Malformed::TooShort(bytes.len()))?;
    let content_type = match ContentType::from_wire(content_type) {
        Some(known) if known != ContentType::ConnectionId => known,
        _ => return Err(Malformed::Type(content_type)),
    };
    check(version, length)?;
    cut(bytes, &[], after, content_type, number, length)
}

/// Parses one record that may have a Connection ID of `id_length` bytes, as RFC 9146 section 4 has it, and
/// returns what follows it.
pub fn parse_with_id(bytes: &[u8], id_length: usize) -> Result<(Record<'_>, &[u8]), Malformed> {
    const BEFORE_THE_ID: usize = HEADER - 2;
    const TYPE: u8 = ContentType::ConnectionId as u8;
    if bytes.first() != Some(&TYPE) {
        return parse(bytes);
    }
    let too_short = Malformed::TooShort(bytes.len());
    let (before, after) = bytes.split_first_chunk::<BEFORE_THE_ID>().ok_or(too_short)?;
    let [_, v0, v1, n0, n1, n2, n3, n4, n5, n6, n7] = *before;
    let (connection_id, after) = after.split_at_checked(id_length).ok_or(too_short)?;
    let (length, after) = after.split_first_chunk::<2>().ok_or(too_short)?;
    let length = usize::from(u16::from_be_bytes(*length));
    check([v0, v1], length)?;
    let number = RecordNumber(u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7]));
    cut(bytes, connection_id, after, ContentType::ConnectionId, number, length)
}

#[inline]
fn check(version: [u8; 2], length: usize) -> Result<(), Malformed> {
    if version != DTLS_1_2 && version != DTLS_1_0 {
        return Err(Malformed::Version(version));
    }
    if length > MAX_FRAGMENT { Err(Malformed::TooLong(length)) } else { Ok(()) }
}

/// Cuts a record off `bytes`, of which `after` follows the header.
#[inline]
fn cut<'a>(
    bytes: &'a [u8],
    connection_id: &'a [u8],
    after: &'a [u8],
    content_type: ContentType,
    number: RecordNumber,
    length: usize,
) -> Result<(Record<'a>, &'a [u8]), Malformed> {
    let cut = Malformed::Cut { length, here: after.len() };
    let (fragment, rest) = after.split_at_checked(length).ok_or(cut)?;
    let raw = bytes.get(..bytes.len() - rest.len()).ok_or(cut)?;
    Ok((Record { content_type, number, connection_id, fragment, raw }, rest))
}

/// Makes a header for `length` bytes of fragment.
#[inline]
pub fn header(
    content_type: ContentType,
    version: [u8; 2],
    number: RecordNumber,
    length: u16,
) -> [u8; HEADER] {
    let [n0, n1, n2, n3, n4, n5, n6, n7] = number.to_wire();
    let [l0, l1] = length.to_be_bytes();
    [content_type as u8, version[0], version[1], n0, n1, n2, n3, n4, n5, n6, n7, l0, l1]
}

#[cfg(test)]
mod tests {
    use super::super::connection_id;
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let mut bytes = header(ContentType::Handshake, DTLS_1_0, RecordNumber::new(0, 5), 3).to_vec();
        bytes.extend([1, 2, 3]);
        bytes
    }

    #[test]
    fn two_records_in_one_datagram_come_one_after_the_other() {
        let mut bytes = sample();
        bytes.extend(header(ContentType::ApplicationData, DTLS_1_2, RecordNumber::new(1, 7), 0));
        let records: Vec<_> = Records::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(records[0].fragment, [1, 2, 3]);
        assert_eq!(records[0].number, RecordNumber::new(0, 5));
        assert_eq!(records[1].content_type, ContentType::ApplicationData);
        assert_eq!((records[1].number.epoch(), records[1].number.sequence()), (1, 7));
        assert_eq!(records[1].raw.len(), HEADER);
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn a_record_cut_at_any_byte_is_malformed() {
        let bytes = sample();
        for end in 1..bytes.len() {
            let malformed = match end.checked_sub(HEADER) {
                None => Malformed::TooShort(end),
                Some(here) => Malformed::Cut { length: 3, here },
            };
            assert_eq!(Records::new(&bytes[..end]).collect::<Vec<_>>(), [Err(malformed)], "cut at {end}");
        }
        assert_eq!(Records::new(&[]).count(), 0);
    }

    #[test]
    fn unknown_types_versions_and_lengths_beyond_the_limit_are_malformed() {
        for (at, value, malformed) in [
            (0, 19, Malformed::Type(19)),
            (0, 24, Malformed::Type(24)),
            (0, 25, Malformed::Type(25)),
            (0, 0x2e, Malformed::Type(0x2e)),
            (1, 3, Malformed::Version([3, 0xff])),
            (2, 0xfc, Malformed::Version([0xfe, 0xfc])),
        ] {
            let mut bytes = sample();
            bytes[at] = value;
            assert_eq!(parse(&bytes), Err(malformed), "byte {at} = {value}");
        }
        let mut long =
            header(ContentType::ApplicationData, DTLS_1_2, RecordNumber::new(1, 0), 18_433).to_vec();
        long.resize(HEADER + 18_433, 0);
        assert_eq!(parse(&long), Err(Malformed::TooLong(18_433)));
    }

    #[test]
    fn renumbering_changes_the_number_only() {
        let bytes = sample();
        let (record, _) = parse(&bytes).unwrap();
        let again = record.renumbered(RecordNumber::new(0, 0x0102_0304_0506));
        let (record, _) = parse(&again).unwrap();
        assert_eq!(record.number.sequence(), 0x0102_0304_0506);
        assert_eq!((&again[..3], &again[11..]), (&bytes[..3], &bytes[11..]));
    }

    #[test]
    fn a_header_is_read_whatever_stands_in_it() {
        let header = Header {
            content_type: 99,
            version: [3, 3],
            number: RecordNumber::new(0x0102, 0x0304_0506_0708),
            length: 0xffff,
        };
        let bytes = [99, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xff, 9];
        assert_eq!(Header::parse(&bytes), Some((header, &[9][..])));
        assert_eq!(Header::parse(&bytes[..12]), None);
    }

    #[test]
    fn a_connection_id_is_found_by_the_length_that_its_receiver_knows() {
        for id_length in [0, 1, 8, 255] {
            let id: Vec<u8> = (0..id_length).map(|byte| byte as u8).collect();
            let number = RecordNumber::new(1, 9);
            let mut bytes = connection_id::header(number, &id, 4);
            bytes.extend([7; 4]);
            let (record, rest) = parse_with_id(&bytes, id_length).unwrap();
            let expected = Record {
                content_type: ContentType::ConnectionId,
                number,
                connection_id: &id,
                fragment: &[7; 4],
                raw: &bytes,
            };
            assert_eq!((record, rest), (expected, &[][..]));
            for end in 0..bytes.len() {
                let malformed = match end.checked_sub(HEADER + id_length) {
                    None => Malformed::TooShort(end),
                    Some(here) => Malformed::Cut { length: 4, here },
                };
                assert_eq!(parse_with_id(&bytes[..end], id_length), Err(malformed), "cut at {end}");
            }
            assert_eq!(parse(&bytes), Err(Malformed::Type(25)));
        }
    }

    #[test]
    fn records_with_and_without_a_connection_id_stand_in_one_datagram() {
        let mut bytes = sample();
        bytes.extend(connection_id::header(RecordNumber::new(1, 0), b"ab", 1));
        bytes.push(9);
        bytes.extend(sample());
        let types: Vec<_> = Records::with_ids(&bytes, 2).map(|record| record.unwrap().content_type).collect();
        assert_eq!(types, [ContentType::Handshake, ContentType::ConnectionId, ContentType::Handshake]);
        let without: Vec<_> = Records::new(&bytes).map(|record| record.map(|found| found.number)).collect();
        assert_eq!(without, [Ok(RecordNumber::new(0, 5)), Err(Malformed::Type(25))]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let taken: usize = Records::new(&bytes).flatten().map(|r| r.raw.len()).sum();
            prop_assert!(taken <= bytes.len());
            let taken: usize = Records::with_ids(&bytes, 3).flatten().map(|r| r.raw.len()).sum();
            prop_assert!(taken <= bytes.len());
        }
    }
}
