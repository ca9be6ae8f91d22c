//! The header fields of one message, as the host hands them out, and the edits that go back.
//!
//! Values are bytes: a value that is not UTF-8 is legal HTTP (RFC 9110 section 5.5) and must not cause an
//! error here.

use crate::negotiate::Form;
use std::borrow::Cow;

/// A field that decides something. Each is looked up once, when the fields are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Field {
    Accept,
    AcceptEncoding,
    CborVersion,
    ContentEncoding,
    ContentLength,
    ContentType,
    Method,
    Path,
    Status,
    Vary,
}

/// The known fields, each at the index of its variant.
const NAMES: [(Field, &str); 10] = [
    (Field::Accept, "accept"),
    (Field::AcceptEncoding, "accept-encoding"),
    (Field::CborVersion, "lowband-cbor-version"),
    (Field::ContentEncoding, "content-encoding"),
    (Field::ContentLength, "content-length"),
    (Field::ContentType, "content-type"),
    (Field::Method, ":method"),
    (Field::Path, ":path"),
    (Field::Status, ":status"),
    (Field::Vary, "vary"),
];

/// The fields of a message in their order, including pseudo-header fields (`:method`, `:status`). Names may
/// have any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    fields: Vec<(&'a [u8], &'a [u8])>,
    /// The first value of each field of [`NAMES`].
    known: [Option<&'a [u8]>; NAMES.len()],
    /// True if any of them occurs more than once.
    repeated: bool,
}

impl<'a> Headers<'a> {
    /// Makes the list from pairs of name and value.
    pub fn new(fields: Vec<(&'a [u8], &'a [u8])>) -> Self {
        let (mut known, mut repeated) = ([None; NAMES.len()], false);
        for (name, value) in &fields {
            let place = NAMES.iter().position(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes()));
            if let Some(place) = place.and_then(|place| known.get_mut(place)) {
                repeated |= place.is_some();
                *place = place.or(Some(*value));
            }
        }
        Headers { fields, known, repeated }
    }

    /// Reads the form of the proxy-wasm ABI: the number of pairs, the two lengths of each pair (all 32 bits,
    /// little endian), then each name and value, closed by a zero byte. Returns `None` if the bytes do not
    /// have that form.
    pub fn parse(map: &'a [u8]) -> Option<Self> {
        if map.is_empty() {
            return Some(Headers::default());
        }
        let (count, rest) = map.split_first_chunk::<4>()?;
        let lengths_size = usize::try_from(u32::from_le_bytes(*count)).ok()?.checked_mul(8)?;
        let (lengths, mut texts) = rest.split_at_checked(lengths_size)?;
        let mut fields = Vec::with_capacity(lengths_size / 8);
        for pair in lengths.chunks_exact(8) {
            let (name, value) = pair.split_first_chunk::<4>()?;
            let name = closed_text(&mut texts, *name)?;
            let value = closed_text(&mut texts, *value.first_chunk::<4>()?)?;
            fields.push((name, value));
        }
        Some(Headers::new(fields))
    }

    /// Returns the value of a field; several fields of one name form one list (RFC 9110 section 5.2).
    pub fn get(&self, field: Field) -> Option<Cow<'a, [u8]>> {
        let first = self.known.get(field as usize).copied().flatten()?;
        if !self.repeated {
            return Some(Cow::Borrowed(first));
        }
        let (_, name) = NAMES.get(field as usize)?;
        let named = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        let values: Vec<&[u8]> = named.map(|(_, value)| *value).collect();
        Some(Cow::Owned(values.join(&b", "[..])))
    }

    /// Returns all names, each as often as it occurs.
    fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().map(|(name, _)| *name)
    }

    /// Returns the names that start with this lower-case prefix, each as often as it occurs.
    pub fn names_under(&self, prefix: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.names().filter(move |name| {
            name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        })
    }

    /// Returns `content-length`, if it is one decimal number.
    pub fn content_length(&self) -> Option<u64> {
        std::str::from_utf8(&self.get(Field::ContentLength)?).ok()?.parse().ok()
    }
}

/// Splits a text of this length and its closing zero byte from the front.
fn closed_text<'a>(texts: &mut &'a [u8], length: [u8; 4]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
    let (text, rest) = texts.split_at_checked(length)?;
    *texts = rest.split_first()?.1;
    Some(text)
}

/// A change to the header fields of the message in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The name, in lower case.
    pub name: Cow<'static, [u8]>,
    /// The only value from now on; `None` removes all fields of this name.
    pub value: Option<Cow<'static, [u8]>>,
}

impl Edit {
    /// Makes an edit that leaves one field of this name, with this value.
    pub fn set(name: &'static str, value: impl Into<Cow<'static, [u8]>>) -> Self {
        Edit { name: Cow::Borrowed(name.as_bytes()), value: Some(value.into()) }
    }

    /// Makes an edit that leaves no field of this name.
    pub fn remove(name: impl Into<Cow<'static, [u8]>>) -> Self {
        Edit { name: name.into(), value: None }
    }
}

/// Fields that describe the bytes of a body and are wrong after its translation (RFC 9110 sections 8.6 and
/// 14.3, RFC 9530). `content-length` matters most: Envoy does not compare it with a replaced body, and a
/// stale one towards an HTTP/1 server is request smuggling. An `etag` stays: in Matrix it is a handle that
/// clients send back, not a digest of the bytes.
const OF_THE_BYTES: [&str; 6] =
    ["content-length", "content-digest", "repr-digest", "digest", "content-md5", "accept-ranges"];

/// Removes the fields that will be wrong after this message's body has been translated.
pub(crate) fn forget_the_bytes(headers: &Headers<'_>) -> Vec<Edit> {
    removals(headers, &OF_THE_BYTES)
}

/// Removes those of these fields that are present.
pub(crate) fn removals(headers: &Headers<'_>, names: &[&'static str]) -> Vec<Edit> {
    let named = |name: &[u8]| names.iter().find(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    headers.names().filter_map(named).map(|name| Edit::remove(name.as_bytes())).collect()
}

/// Describes the translated body. `length` is `None` if trailers follow: HTTP/1 sends none after a body of
/// known length.
pub(crate) fn describe_body(form: Form, length: Option<usize>) -> Vec<Edit> {
    let mut edits = vec![Edit::set("content-type", form.media_type().as_bytes())];
    edits.extend(length.map(content_length));
    edits
}

/// Makes an edit that states the length of a body.
pub(crate) fn content_length(length: usize) -> Edit {
    Edit::set("content-length", length.to_string().into_bytes())
}

/// Returns true if the body is compressed or otherwise encoded (RFC 9110 section 8.4), so that neither JSON
/// nor CBOR can be seen in it.
pub(crate) fn is_encoded(headers: &Headers<'_>) -> bool {
    let is_none = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    let codings = headers.get(Field::ContentEncoding);
    codings.is_some_and(|all| !all.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).all(is_none))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::any;

    /// Serializes fields in the form of the ABI, by its description.
    fn serialized(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut map = (fields.len() as u32).to_le_bytes().to_vec();
        for (name, value) in fields {
            map.extend((name.len() as u32).to_le_bytes());
            map.extend((value.len() as u32).to_le_bytes());
        }
        for (name, value) in fields {
            map.extend([name, &b"\0"[..], value, &b"\0"[..]].concat());
        }
        map
    }

    #[test]
    fn each_field_is_found_in_any_case_and_several_of_one_name_are_one_list() {
        for (place, (field, name)) in NAMES.into_iter().enumerate() {
            assert_eq!(field as usize, place);
            let upper = name.to_ascii_uppercase();
            let (name, upper) = (name.as_bytes(), upper.as_bytes());
            let value = |fields: &[(&[u8], &[u8])]| {
                let headers = Headers::new(fields.iter().map(|(n, v)| (*n, *v)).collect());
                headers.get(field).map(Cow::into_owned)
            };
            assert_eq!(value(&[(b"a", b"0"), (b"", b"1")]), None, "{field:?}");
            assert_eq!(value(&[(b"a", b"0"), (name, b"1")]).unwrap(), b"1", "{field:?}");
            let list = value(&[(name, b"1"), (b"a", b"2"), (upper, b"3"), (name, b"")]);
            assert_eq!(list.unwrap(), b"1, 3, ", "{field:?}");
        }
    }

    #[test]
    fn names_under_a_prefix_are_found_in_any_case() {
        let headers = Headers::new(vec![
            (b"lowband-x", b""),
            (b"LowBand-Y", b""),
            (b"lowband", b""),
            (b"x-lowband-z", b""),
        ]);
        assert_eq!(headers.names_under("lowband-").collect::<Vec<_>>(), [&b"lowband-x"[..], b"LowBand-Y"]);
    }

    #[test]
    fn what_a_new_body_makes_wrong_is_removed() {
        let headers =
            Headers::new(vec![(b"Digest", b""), (b"date", b""), (b"content-length", b"1"), (b"etag", b"")]);
        assert_eq!(
            forget_the_bytes(&headers),
            [Edit::remove(&b"digest"[..]), Edit::remove(&b"content-length"[..])]
        );
    }

    #[test]
    fn a_length_is_one_decimal_number() {
        for (value, length) in [
            (&b"0"[..], Some(0)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"-1", None),
            (b"1, 1", None),
            (b"", None),
            (b"\xff", None),
        ] {
            assert_eq!(Headers::new(vec![(b"content-length", value)]).content_length(), length, "{value:?}");
        }
    }

    #[test]
    fn a_map_cut_at_any_byte_is_refused() {
        let map = serialized(&[(b":status".to_vec(), b"200".to_vec()), (b"x".to_vec(), b"\xff".to_vec())]);
        assert!(Headers::parse(&map).is_some());
        for cut in 1..map.len() {
            assert_eq!(Headers::parse(&map[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn claimed_sizes_are_not_believed() {
        assert_eq!(Headers::parse(&u32::MAX.to_le_bytes()), None);
        assert_eq!(Headers::parse(&[1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0]), None);
    }

    proptest::proptest! {
        #[test]
        fn what_the_host_writes_is_read(fields in vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..8)) {
            let map = serialized(&fields);
            let pairs = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
            assert_eq!(Headers::parse(&map), Some(Headers::new(pairs)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            Headers::parse(&bytes);
        }
    }
}
