//! Bodies in fewer bytes, to and from a server that has said that it knows them.
//!
//! Callers see nothing of it: a request is packed as it leaves, and what comes is unpacked before it is
//! handed out, with the Content-Format of CBOR.

use crate::error::Error;
use crate::message::Response;
use lowband_transport::coap;
use lowband_wire::coap::content_format::{CBOR, JSON, PACKED};
use lowband_wire::packed::{self, NotPacked, Unpacker};

/// Packs the body of a request where that makes it shorter, and asks for a packed answer.
pub(crate) fn pack(request: &mut coap::Request) {
    let options = &mut request.options;
    // A client that sends JSON and does not say what it accepts accepts JSON (MSC3079).
    let accepts_cbor = match options.accept {
        None => options.content_format != Some(JSON),
        Some(accept) => accept == CBOR,
    };
    if accepts_cbor {
        options.accept = Some(PACKED);
    }
    let is_short = request.body.len() <= packed::LONGEST_REQUEST;
    if is_short && matches!(options.content_format, None | Some(CBOR)) {
        let packed = packed::pack(&request.body);
        if packed.len() < request.body.len() && request.body.len() <= packed::longest_request(packed.len()) {
            options.content_format = Some(PACKED);
            request.body = packed;
        }
    }
}

/// Unpacks a response that is whole, to at most so many bytes.
pub(crate) fn unpack(mut response: Response, most: usize) -> Result<Response, Error> {
    if response.content_format == Some(PACKED) {
        response.content_format = Some(CBOR);
        response.body = packed::unpack(&response.body, most).map_err(Error::NotPacked)?;
    }
    Ok(response)
}

/// Unpacks a response that comes in pieces; one that is not packed stays as it is.
#[derive(Default)]
pub(crate) struct Unpacking(Option<Unpacker>);

impl Unpacking {
    /// Begins with the head of a response; also returns the Content-Format of what is handed out.
    pub(crate) fn begin(content_format: Option<u16>, most: usize) -> (Unpacking, Option<u16>) {
        match content_format {
            Some(PACKED) => (Unpacking(Some(Unpacker::new(most))), Some(CBOR)),
            other => (Unpacking(None), other),
        }
    }

    /// Returns what a piece stands for.
    pub(crate) fn piece(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, NotPacked> {
        let Some(unpacker) = &mut self.0 else { return Ok(bytes) };
        let mut cbor = Vec::new();
        unpacker.push(&bytes, &mut cbor)?;
        Ok(cbor)
    }

    /// Returns what is left behind the last piece.
    pub(crate) fn finish(self) -> Result<Vec<u8>, NotPacked> {
        let mut cbor = Vec::new();
        if let Some(unpacker) = self.0 {
            unpacker.finish(&mut cbor)?;
        }
        Ok(cbor)
    }
}
