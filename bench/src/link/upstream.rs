//! The upstream of all sidecars: HTTP/2 with prior knowledge, one unix socket for each sidecar, and CBOR of
//! any size that a path names. It stands for Envoy and the homeserver together, so that what takes time is
//! the link.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lowband_e2e::{Error, Result};
use std::path::Path;
use tokio::net::UnixListener;

/// Path of uploads, and of small requests that change something.
pub(crate) const UPLOAD: &str = "/_matrix/client/v3/link/upload";
/// Bytes in the answer to an upload.
pub(crate) const SMALL: usize = 300;

/// Returns the path at which a body of this many bytes is.
pub(crate) fn path(length: usize) -> String {
    format!("/_matrix/client/v3/link/{length}")
}

/// Serves the sidecar of `folder` until the runtime ends.
pub(crate) fn serve(folder: &Path) -> Result<()> {
    let path = folder.join("envoy.sock");
    let listener = UnixListener::bind(&path).map_err(Error::io(format!("listen on {}", path.display())))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let builder = http2::Builder::new(TokioExecutor::new());
            // The connection ends when the sidecar does.
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    Ok(())
}

async fn answer(request: Request<Incoming>) -> std::result::Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let length = head.uri.path().rsplit('/').next().and_then(|segment| segment.parse().ok());
    let (status, body) = match (head.method, length) {
        (Method::GET, Some(length)) => (StatusCode::OK, document(length)),
        (Method::PUT, _) if body == document(body.len()) => (StatusCode::OK, document(SMALL)),
        _ => (StatusCode::BAD_REQUEST, document(SMALL)),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/cbor"));
    Ok(response)
}

/// Makes a CBOR map of `length` bytes, 9 or more: one key of one letter, and a text (RFC 8949 section 3) in
/// which no part occurs twice, so that a block in the wrong place shows.
pub(crate) fn document(length: usize) -> Bytes {
    let head = [0xa1, 0x61, b'x', 0x7a];
    let text = length.saturating_sub(head.len() + 4);
    let text_length = u32::try_from(text).unwrap_or_default().to_be_bytes();
    let mut document = [head, text_length].concat();
    for number in 0u32.. {
        if document.len() >= length {
            break;
        }
        document.extend(format!("{number} ").bytes());
    }
    document.truncate(length);
    document.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cbor_of_the_length_that_was_asked_for() {
        for length in [9, 40, 1_024, 100_000] {
            let document = document(length);
            assert_eq!(document.len(), length);
            let json = lowband_codec::cbor_to_json(&document).unwrap();
            assert_eq!(json.len(), length - 8 + r#"{"x":""}"#.len());
        }
    }
}
