//! From options with a meaning to numbers and bytes: requests of the client role, responses of the server role.

use super::super::block::uint;
use super::super::numbers::{self, MAX_ACCESS_TOKEN};
use super::{RequestOptions, ResponseOptions};

/// Which options of a request go into a message of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Part {
    /// The first or only message: all of them.
    First,
    /// Later blocks of the request body.
    Upload,
    /// Later blocks of the response body: no payload, so nothing about one.
    Download,
}

/// The request's options for the wire. An error names what no CoAP message can carry.
pub(in super::super) fn encode_request(
    options: &RequestOptions,
    part: Part,
) -> Result<Vec<(u16, Vec<u8>)>, String> {
    let mut encoded = Vec::with_capacity(options.path.len() + options.query.len() + 4);
    let mut texts = |number, values: &[String], name| {
        for value in values {
            if value.len() > 255 {
                return Err(format!("a {name} of more than 255 bytes does not fit into CoAP"));
            }
            encoded.push((number, value.as_bytes().to_vec()));
        }
        Ok(())
    };
    texts(numbers::URI_PATH, &options.path, "path segment")?;
    texts(numbers::URI_QUERY, &options.query, "query parameter")?;
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
                return Err(format!(
                    "an access token of more than {MAX_ACCESS_TOKEN} bytes does not fit into option 256"
                ));
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
            if !(1..=255).contains(&host.len()) {
                return Err("a Uri-Host has 1 to 255 bytes".to_owned());
            }
            encoded.push((numbers::URI_HOST, host.as_bytes().to_vec()));
        }
    }
    Ok(encoded)
}

/// Content-Format and Max-Age of a response; Size2 is the business of blockwise.
pub(in super::super) fn encode_response(options: &ResponseOptions) -> Vec<(u16, Vec<u8>)> {
    let mut encoded = Vec::new();
    if let Some(format) = options.content_format {
        encoded.push((numbers::CONTENT_FORMAT, uint(format.into())));
    }
    if let Some(seconds) = options.max_age {
        encoded.push((numbers::MAX_AGE, uint(seconds)));
    }
    encoded
}
