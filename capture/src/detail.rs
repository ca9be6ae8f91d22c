//! Everything about one exchange, made again from the file on demand.
//!
//! An exchange that was told of keeps where its datagrams stand, and its session the keys: a record is
//! decrypted by these and its own number alone.

use crate::coap::{Assembly, Describer, Room, Said, Translated, Way};
use crate::exchange::{BodyError, BodyKind, Exchange, MessageRef};
use crate::unread::Why;
use crate::{Capture, Mark};
use lowband_wire::coap::Code;
use lowband_wire::coap::block::{Block, BlockSize};
use lowband_wire::coap::message::{Kind, View};
use lowband_wire::coap::numbers;
use lowband_wire::coap::uint::from_uint;
use std::fmt;

/// Everything about one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Detail {
    /// Its messages, in the order of [`Exchange::messages`].
    pub messages: Vec<MessageDetail>,
    /// The body of its request, as far as the blocks from the first on are there; None if it has none.
    pub request_body: Option<Content>,
    /// The body of its response, likewise.
    pub response_body: Option<Content>,
}

/// One message, or why it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageDetail {
    /// Where it stands in the capture.
    pub reference: MessageRef,
    /// What it says.
    pub message: Result<Decoded, Why>,
}

/// What one message says.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded {
    /// Type of the message (RFC 7252 section 4.1).
    pub kind: Kind,
    /// Method or response code; 0.00 of an Empty message.
    pub code: Code,
    /// Its message id.
    pub id: u16,
    /// Its token, at most 8 bytes.
    pub token: Vec<u8>,
    /// Its options in their order.
    pub options: Vec<OptionValue>,
    /// What it carries: a body, or a block of one.
    pub payload: Vec<u8>,
    /// The whole message, decrypted: header, token, options and payload. Of an access token that is hidden,
    /// all bytes are 0.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Decoded {
    // What it carries may be secret, and its options too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decoded { kind, code, id, .. } = self;
        f.debug_struct("Decoded")
            .field("kind", kind)
            .field("code", code)
            .field("id", id)
            .finish_non_exhaustive()
    }
}

/// One option of a message.
#[derive(Clone, PartialEq, Eq)]
pub struct OptionValue {
    /// Number of the option.
    pub number: u16,
    /// What the registry calls it; None for one that means nothing here.
    pub name: Option<&'static str>,
    /// Its value, in the form that the option has.
    pub value: Value,
}

impl fmt::Debug for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptionValue").field("number", &self.number).finish_non_exhaustive()
    }
}

/// The value of an option.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Text, in UTF-8.
    Text(String),
    /// An unsigned integer (RFC 7252 section 3.2).
    Number(u32),
    /// Which block (RFC 7959 section 2.2).
    Block {
        /// Its number, counted in blocks of its size.
        num: u32,
        /// Whether more follow.
        more: bool,
        /// Bytes of a block.
        size: BlockSize,
    },
    /// Bytes; also of an option whose value does not have its form.
    Bytes(Vec<u8>),
    /// An access token, which [`Options::keep_access_tokens`](crate::Options::keep_access_tokens) keeps out.
    Hidden {
        /// How many bytes it has.
        bytes: usize,
    },
}

/// A body as it was put together from its blocks.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Content {
    /// What it is.
    pub kind: BodyKind,
    /// Content-Format as sent.
    pub format: Option<u16>,
    /// As it was sent.
    pub bytes: Vec<u8>,
    /// The CBOR that it stands for, if it is packed CBOR: up to where it breaks off or cannot be read. None
    /// of any other body.
    pub unpacked: Option<Vec<u8>>,
    /// The JSON that it stands for, without any white space of our own, or why there is none; None if it is
    /// neither CBOR nor JSON.
    pub json: Option<Result<Vec<u8>, BodyError>>,
}

impl Content {
    /// Returns the bytes that a reader wants: unpacked, or else as they were sent.
    pub fn readable(&self) -> &[u8] {
        match (&self.unpacked, &self.json) {
            (None, _) | (_, Some(Err(BodyError::NotPacked(_)))) => &self.bytes,
            (Some(unpacked), _) => unpacked,
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Content { kind, format, bytes, .. } = self;
        write!(f, "Content({kind:?}, format {format:?}, {} bytes)", bytes.len())
    }
}

/// Both bodies on their way.
#[derive(Default)]
struct Bodies {
    upload: Assembly,
    request: Option<(Vec<u8>, Option<u16>)>,
    download: Assembly,
    response: Option<(Vec<u8>, Option<u16>)>,
    formats: [Option<u16>; 2],
    etag: Option<Vec<u8>>,
    success: bool,
    /// The response is whole: what still comes changes nothing.
    is_done: bool,
}

impl Capture {
    /// Returns everything about an exchange that this capture has told of. `read` returns the bytes of the
    /// file from an offset on, so many, or None if the file does not have them.
    pub fn detail(&self, exchange: &Exchange, read: &mut dyn FnMut(u64, usize) -> Option<Vec<u8>>) -> Detail {
        let limits = self.options().limits;
        let mut room = Room { left: limits.body.saturating_mul(2), body: limits.body };
        let mut bodies = Bodies::default();
        let mut plaintext = Vec::new();
        let mut messages = Vec::with_capacity(exchange.messages.len());
        let mut left = limits.details;
        for reference in &exchange.messages {
            let message = self.read_again(exchange.session, reference, read, &mut plaintext);
            let message = message.and_then(|()| {
                let message = View::parse(&plaintext).map_err(Why::MalformedMessage)?;
                let cost = 3 * plaintext.len() + message.options().count() * size_of::<OptionValue>();
                left = left.checked_sub(cost).ok_or(Why::DetailTooLong)?;
                if reference.mark == Mark::First {
                    bodies.take(&message, &mut room);
                }
                Ok(Decoded::of(&message, &plaintext, !self.options().keep_access_tokens))
            });
            messages.push(MessageDetail { reference: *reference, message });
        }
        let Bodies { upload, request, download, response, formats, success, .. } = bodies;
        let body = |whole: Option<(Vec<u8>, Option<u16>)>, blocks: Assembly, format, way| {
            let blocks = blocks.has_begun().then(|| (blocks.into_bytes(), format));
            whole.or(blocks).map(|(bytes, format)| content(bytes, format, way))
        };
        let [up, down] = formats;
        let request_body = body(request, upload, up, Way::Request);
        let response_body = body(response, download, down, Way::Response { success });
        Detail { messages, request_body, response_body }
    }

    fn read_again(
        &self,
        session: u32,
        reference: &MessageRef,
        read: &mut dyn FnMut(u64, usize) -> Option<Vec<u8>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Why> {
        let offset = reference.offset.ok_or(Why::Fragmented)?;
        let (at, length) = (reference.record_at, reference.length);
        let bytes = read(offset + u64::from(at), length.saturating_sub(at) as usize).ok_or(Why::Gone)?;
        self.reopen(session, reference.from_client, &bytes, out)
    }
}

impl Decoded {
    /// Decodes a message; `plaintext` are its bytes, a part of which `message` is.
    pub(crate) fn of(message: &View<'_>, plaintext: &[u8], hides_access_token: bool) -> Decoded {
        let mut bytes = plaintext.to_vec();
        let options = message.options().map(|(number, value)| {
            let value = if number == numbers::AUTHORIZATION && hides_access_token {
                // The value is a part of the plaintext, so the distance is where it stands there.
                let start = value.as_ptr().addr().saturating_sub(plaintext.as_ptr().addr());
                bytes.iter_mut().skip(start).take(value.len()).for_each(|byte| *byte = 0);
                Value::Hidden { bytes: value.len() }
            } else {
                Value::of(number, value)
            };
            OptionValue { number, name: numbers::name(number), value }
        });
        Decoded {
            kind: message.kind,
            code: message.code,
            id: message.id.0,
            token: message.token.as_bytes().to_vec(),
            options: options.collect(),
            payload: message.payload.to_vec(),
            bytes,
        }
    }
}

impl Value {
    fn of(number: u16, value: &[u8]) -> Value {
        let bytes = || Value::Bytes(value.to_vec());
        match number {
            numbers::BLOCK1 | numbers::BLOCK2 | numbers::Q_BLOCK1 | numbers::Q_BLOCK2 => Block::decode(value)
                .map_or_else(|_| bytes(), |Block { num, more, size }| Value::Block { num, more, size }),
            numbers::URI_HOST
            | numbers::URI_PATH
            | numbers::URI_QUERY
            | numbers::LOCATION_PATH
            | numbers::LOCATION_QUERY
            | numbers::PROXY_URI
            | numbers::PROXY_SCHEME
            | numbers::AUTHORIZATION => {
                std::str::from_utf8(value).map_or_else(|_| bytes(), |text| Value::Text(text.to_owned()))
            }
            numbers::OBSERVE
            | numbers::URI_PORT
            | numbers::CONTENT_FORMAT
            | numbers::MAX_AGE
            | numbers::ACCEPT
            | numbers::SIZE1
            | numbers::SIZE2
            | numbers::CBOR_VERSION
            | numbers::CAPABILITIES => from_uint(value).map_or_else(bytes, Value::Number),
            _ => bytes(),
        }
    }
}

impl Bodies {
    /// Takes a message of the exchange that is not a copy.
    fn take(&mut self, message: &View<'_>, room: &mut Room) {
        let (said, mut notes) = (Said::by(message), Vec::new());
        let [up, down] = &mut self.formats;
        let whole = || (!message.payload.is_empty()).then(|| (message.payload.to_vec(), said.content_format));
        if message.code.is_request() {
            *up = up.or(said.content_format);
            match said.block1 {
                Some(block) => self.upload.add(block, message.payload, None, room, &mut notes),
                None if self.request.is_none() && !self.upload.has_begun() => self.request = whole(),
                None => {}
            }
        } else if message.code.is_response() && !said.goes_on_behind(message.code) && !self.is_done {
            self.success = message.code.is_success();
            match said.block2 {
                Some(block) => {
                    let etag = said.etag.map(|etag| etag.as_bytes().to_vec());
                    if self.etag != etag && self.download.has_begun() {
                        self.download = Assembly::default();
                    }
                    self.etag = etag;
                    *down = down.or(said.content_format);
                    self.download.add(block, message.payload, None, room, &mut notes);
                    self.is_done = self.download.is_whole();
                }
                None => (self.response, self.is_done) = (whole(), true),
            }
        }
    }
}

fn content(bytes: Vec<u8>, format: Option<u16>, way: Way) -> Content {
    let mut describer = Describer::new();
    let Translated { kind, unpacked, json, .. } = describer.translate(&bytes, format, way);
    let (unpacked, json) = (unpacked.map(<[u8]>::to_vec), json.map(|json| json.map(<[u8]>::to_vec)));
    Content { kind, format, bytes, unpacked, json }
}
