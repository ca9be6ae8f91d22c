//! Why a connection or a request failed, and whose fault it is.

use crate::target::TargetError;
use lowband_transport::SetupError;
use lowband_transport::coap::{FailReason, ProtocolError};
use lowband_transport::dtls::{CertificateFailure, CloseReason, HandshakeFailure};
use lowband_wire::coap::fault::Unsendable;
use lowband_wire::coap::numbers::MAX_ACCESS_TOKEN;
use lowband_wire::packed::NotPacked;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Why a connection or a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Network or server: the handshake did not finish in time.
    #[error("no answer from the server within {0:?}")]
    ConnectTimeout(Duration),
    /// Server: its host says that no program listens on the UDP port.
    #[error("connection refused: nobody listens on UDP {0}")]
    Refused(SocketAddr),
    /// Server, or the caller's choice of certificates: the server's certificate cannot be believed.
    #[error("the server's certificate is not accepted: {0}")]
    Certificate(CertificateFailure),
    /// Either end: the handshake failed.
    #[error("DTLS handshake failed: {0}")]
    Handshake(HandshakeFailure),
    /// Server: it takes no sessions now, because it has no room or is about to end.
    #[error("DTLS handshake failed: {}", CloseReason::Refused)]
    Unavailable,
    /// Either end: the connection has ended.
    #[error("the connection has ended: {}", close_reason(.0))]
    Closed(CloseReason),
    /// Network or server: no answer after all retransmissions.
    #[error("no answer to the request after all retransmissions")]
    Timeout,
    /// Server: it answered the request with a Reset.
    #[error("the server answered the request with a CoAP Reset")]
    Reset,
    /// Server: its answer contradicts itself or the request, or exceeds one of our limits.
    #[error("the server's answer cannot be used: {0}")]
    Protocol(ProtocolError),
    /// Server: its answer is not the packed body that it says it is, or stands for more than
    /// [`Limits::download`](lowband_transport::coap::Limits::download).
    #[error("the server's answer cannot be unpacked: {0}")]
    NotPacked(NotPacked),
    /// Caller: no CoAP message can carry the request.
    #[error("the request cannot be sent: {0}")]
    Unsendable(Unsendable),
    /// Either end: a reason without a variant of its own.
    #[error("{0}")]
    Other(FailReason),
    /// Caller: the target cannot be sent.
    #[error("{0}")]
    Target(#[from] TargetError),
    /// Caller: the access token is empty or longer than option 256 may be.
    #[error("an access token of {0} bytes: CoAP option 256 carries 1 to {MAX_ACCESS_TOKEN}")]
    AccessToken(usize),
    /// Caller or machine: certificates or OpenSSL cannot be set up.
    #[error("{0}")]
    Setup(#[from] SetupError),
    /// Machine: OpenSSL has no random numbers; holds OpenSSL's message.
    #[error("no randomness from OpenSSL: {0}")]
    Randomness(String),
    /// Machine: an operation of the UDP socket failed.
    #[error("UDP socket: {0}")]
    Socket(#[from] std::io::Error),
    /// Caller: the key log cannot be written.
    #[error("key log {}: {source}", path.display())]
    KeyLog {
        /// The path of the key log.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Error {
    /// Returns what a connection that ended for `why` means to callers that wait for it.
    pub(crate) fn ended(why: CloseReason) -> Error {
        match why {
            CloseReason::Certificate(why) => Error::Certificate(why),
            CloseReason::Handshake(why) => Error::Handshake(why),
            CloseReason::Refused => Error::Unavailable,
            why => Error::Closed(why),
        }
    }

    /// Returns the error of a caller whose driver is gone.
    pub(crate) fn cut_off() -> Error {
        Error::Closed(CloseReason::Local)
    }

    /// Returns what a failed exchange means; `ended` is the end of its session, where there was one.
    pub(crate) fn failed(why: FailReason, ended: Option<CloseReason>) -> Error {
        match why {
            FailReason::Timeout => Error::Timeout,
            FailReason::Reset => Error::Reset,
            FailReason::SessionClosed => Error::ended(ended.unwrap_or(CloseReason::Local)),
            FailReason::Protocol(error) => Error::Protocol(error),
            FailReason::Unsendable(what) => Error::Unsendable(what),
            other => Error::Other(other),
        }
    }
}

/// Returns the reason in words: for a client the peer is the server.
fn close_reason(why: &CloseReason) -> String {
    match why {
        CloseReason::CloseNotify => "the server closed it (close_notify)".into(),
        CloseReason::Alert(description) => format!("the server sent the fatal DTLS alert {description}"),
        CloseReason::Dead => "the server does not answer any more".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_keeps_its_value_and_says_whose_fault_it_is() {
        let expired =
            CertificateFailure { code: CertificateFailure::EXPIRED, text: "certificate has expired" };
        let refused = HandshakeFailure::Alert { description: 40, text: "alert handshake failure".into() };
        for (why, words) in [
            (
                CloseReason::Certificate(expired),
                "the server's certificate is not accepted: certificate has expired",
            ),
            (CloseReason::Handshake(refused), "DTLS handshake failed: alert handshake failure"),
            (
                CloseReason::Refused,
                "DTLS handshake failed: alert internal error: the server has no room for another session or is \
                 about to end, try HTTPS",
            ),
            (CloseReason::CloseNotify, "the connection has ended: the server closed it (close_notify)"),
            (CloseReason::Alert(20), "the connection has ended: the server sent the fatal DTLS alert 20"),
            (CloseReason::Idle, "the connection has ended: silent for too long"),
        ] {
            let error = Error::failed(FailReason::SessionClosed, Some(why.clone()));
            assert_eq!(error.to_string(), words);
            match (why, error) {
                (CloseReason::Certificate(why), Error::Certificate(told)) => assert_eq!(told, why),
                (CloseReason::Handshake(why), Error::Handshake(told)) => assert_eq!(told, why),
                (CloseReason::Refused, Error::Unavailable) => {}
                (why, Error::Closed(told)) => assert_eq!(told, why),
                other => panic!("{other:?}"),
            }
        }
        let too_long = Error::failed(FailReason::Unsendable(Unsendable::Message { most: 512 }), None);
        assert!(matches!(too_long, Error::Unsendable(Unsendable::Message { most: 512 })));
        let too_large = Error::failed(FailReason::Protocol(ProtocolError::TooLarge { limit: 9 }), None);
        assert_eq!(
            too_large.to_string(),
            "the server's answer cannot be used: the body is larger than 9 bytes"
        );
    }
}
