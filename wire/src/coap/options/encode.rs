//! From options with a meaning to numbers and bytes: requests of the client role, responses of the server
//! role.

use super::super::fault::Unsendable;
use super::super::numbers::{self, MAX_ACCESS_TOKEN, MAX_OPTION};
use super::super::uint::uint;
use super::{RequestOptions, ResponseOptions};

/// Which options of a request go into a message of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The first or only message: all of them.
    First,
    /// Later blocks of the request body.
    Upload,
    /// Later blocks of the response body: no payload, so nothing about one.
    Download,
}

/// Returns the request's options for the wire, or what no CoAP message can carry of them.
pub fn encode_request(options: &RequestOptions, part: Part) -> Result<Vec<(u16, Vec<u8>)>, Unsendable> {
    let mut encoded = Vec::with_capacity(options.path.len() + options.query.len() + 4);
    let mut texts = |number, values: &[String], too_long: fn(usize) -> Unsendable| {
        for value in values {
            if value.len() > MAX_OPTION {
                return Err(too_long(value.len()));
            }
            encoded.push((number, value.as_bytes().to_vec()));
        }
        Ok(())
    };
    texts(numbers::URI_PATH, &options.path, |bytes| Unsendable::PathSegment { bytes })?;
    texts(numbers::URI_QUERY, &options.query, |bytes| Unsendable::QueryParameter { bytes })?;
    if let Some(accept) = options.accept {
        encoded.push((numbers::ACCEPT, uint(accept.into())));
    }
    if let (Some(format), true) = (options.content_format, part != Part::Download) {
        encoded.push((numbers::CONTENT_FORMAT, uint(format.into())));
    }
    // The rest concerns the request as a whole; 256 and 257 stay with the session once they have been sent.
    if part == Part::First {
        if let Some(authorization) = &options.authorization {
            if authorization.len() > MAX_ACCESS_TOKEN {
                return Err(Unsendable::AccessToken { bytes: authorization.len() });
            }
            encoded.push((numbers::AUTHORIZATION, authorization.as_bytes().to_vec()));
        }
        if let Some(version) = options.cbor_version {
            encoded.push((numbers::CBOR_VERSION, uint(version)));
        }
        if let Some(observe) = options.observe {
            encoded.push((numbers::OBSERVE, uint(observe & 0xff_ffff)));
        }
        if let Some(host) = &options.host {
            if !(1..=MAX_OPTION).contains(&host.len()) {
                return Err(Unsendable::Host { bytes: host.len() });
            }
            encoded.push((numbers::URI_HOST, host.as_bytes().to_vec()));
        }
    }
    Ok(encoded)
}

/// Returns Content-Format and Max-Age of a response; blockwise adds Size2.
pub fn encode_response(options: &ResponseOptions) -> Vec<(u16, Vec<u8>)> {
    let mut encoded = Vec::new();
    if let Some(format) = options.content_format {
        encoded.push((numbers::CONTENT_FORMAT, uint(format.into())));
    }
    if let Some(seconds) = options.max_age {
        encoded.push((numbers::MAX_AGE, uint(seconds)));
    }
    encoded
}
