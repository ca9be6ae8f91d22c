//! Records (RFC 6347 section 4.1): several in one datagram; headers parsed and built.
//!
//! Nothing here is authenticated. A record that does not parse ends the datagram: after a wrong length
//! nothing can be found.

/// Bytes of a header: type (1), version (2), epoch (2), sequence number (6), length (2).
pub(super) const HEADER: usize = 13;
/// Largest plaintext of a record, in bytes (RFC 5246 section 6.2.1).
pub(super) const MAX_PLAINTEXT: usize = 1 << 14;
/// Largest fragment of a protected record, in bytes (RFC 5246 section 6.2.3).
const MAX_FRAGMENT: usize = MAX_PLAINTEXT + 2048;
/// The only epoch with protection, because nothing is renegotiated.
pub(super) const EPOCH: u16 = 1;
/// DTLS 1.2 on the wire.
pub(super) const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];
/// DTLS 1.0 on the wire: a ClientHello and a HelloVerifyRequest may carry it.
pub(super) const DTLS_1_0: [u8; 2] = [0xfe, 0xff];

/// Types of RFC 5246 section 6.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum ContentType {
    ChangeCipherSpec = 20,
    Alert = 21,
    Handshake = 22,
    ApplicationData = 23,
}

impl ContentType {
    fn from_wire(value: u8) -> Option<ContentType> {
        Some(match value {
            20 => ContentType::ChangeCipherSpec,
            21 => ContentType::Alert,
            22 => ContentType::Handshake,
            23 => ContentType::ApplicationData,
            _ => return None,
        })
    }
}

/// Epoch (16 bits) and sequence number (48 bits), which together number a record within its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RecordNumber(u64);

impl RecordNumber {
    /// The last sequence number of an epoch.
    pub(super) const LAST: u64 = (1 << 48) - 1;

    /// Makes a number; the bits of `sequence` above 48 are ignored.
    pub(super) const fn new(epoch: u16, sequence: u64) -> RecordNumber {
        RecordNumber(((epoch as u64) << 48) | (sequence & RecordNumber::LAST))
    }
    pub(super) const fn epoch(self) -> u16 {
        (self.0 >> 48) as u16
    }
    pub(super) const fn sequence(self) -> u64 {
        self.0 & RecordNumber::LAST
    }
    pub(super) const fn to_wire(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

/// One record as it stands in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) content_type: ContentType,
    pub(super) number: RecordNumber,
    pub(super) fragment: &'a [u8],
    /// Bytes of header and fragment.
    pub(super) raw: &'a [u8],
}

impl Record<'_> {
    /// Returns the version in the header, one of those that [`parse`] accepts.
    pub(super) fn version(&self) -> [u8; 2] {
        if self.raw.get(1..3) == Some(&DTLS_1_0) { DTLS_1_0 } else { DTLS_1_2 }
    }

    /// Returns the record under another number; valid in epoch 0 only, where nothing protects it.
    pub(super) fn renumbered(&self, number: RecordNumber) -> Vec<u8> {
        let mut bytes = self.raw.to_vec();
        if let Some(field) = bytes.get_mut(3..11) {
            field.copy_from_slice(&number.to_wire());
        }
        bytes
    }
}

/// The rest of a datagram is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Iterates over the records of a datagram; ends after the first error.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(super) fn new(datagram: &'a [u8]) -> Records<'a> {
        Records { rest: datagram }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = parse(self.rest);
        self.rest = parsed.map_or(&[], |(_, rest)| rest);
        Some(parsed.map(|(record, _)| record).ok_or(Malformed))
    }
}

/// Parses one record, and returns what follows it.
pub(super) fn parse(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    let [content_type, v0, v1, n0, n1, n2, n3, n4, n5, n6, n7, l0, l1] = *header;
    if [v0, v1] != DTLS_1_2 && [v0, v1] != DTLS_1_0 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if length > MAX_FRAGMENT {
        return None;
    }
    let (raw, rest) = bytes.split_at_checked(HEADER + length)?;
    let record = Record {
        content_type: ContentType::from_wire(content_type)?,
        number: RecordNumber(u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7])),
        fragment: raw.get(HEADER..)?,
        raw,
    };
    Some((record, rest))
}

/// Makes a header for `length` bytes of fragment.
pub(super) fn header(
    content_type: ContentType,
    version: [u8; 2],
    number: RecordNumber,
    length: u16,
) -> [u8; HEADER] {
    let [n0, n1, n2, n3, n4, n5, n6, n7] = number.to_wire();
    let [l0, l1] = length.to_be_bytes();
    [content_type as u8, version[0], version[1], n0, n1, n2, n3, n4, n5, n6, n7, l0, l1]
}

/// Makes a fatal alert in epoch 0, where nothing protects it: 15 bytes.
pub(super) fn plaintext_alert(version: [u8; 2], number: RecordNumber, description: u8) -> Vec<u8> {
    const FATAL: u8 = 2;
    [&header(ContentType::Alert, version, number, 2)[..], &[FATAL, description]].concat()
}

#[cfg(test)]
mod tests {
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
            assert_eq!(Records::new(&bytes[..end]).collect::<Vec<_>>(), [Err(Malformed)], "cut at {end}");
        }
        assert_eq!(Records::new(&[]).count(), 0);
    }

    #[test]
    fn unknown_types_versions_and_lengths_beyond_the_limit_are_malformed() {
        for (at, value) in [(0, 19), (0, 24), (0, 25), (0, 0x2e), (1, 3), (2, 0xfc)] {
            let mut bytes = sample();
            bytes[at] = value;
            assert_eq!(parse(&bytes), None, "byte {at} = {value}");
        }
        let mut long =
            header(ContentType::ApplicationData, DTLS_1_2, RecordNumber::new(1, 0), 18_433).to_vec();
        long.resize(HEADER + 18_433, 0);
        assert_eq!(parse(&long), None);
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

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let taken: usize = Records::new(&bytes).flatten().map(|r| r.raw.len()).sum();
            prop_assert!(taken <= bytes.len());
        }
    }
}
