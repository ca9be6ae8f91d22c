//! Why a handshake failed, as values: what a user can do about it depends on the kind.

use super::event::CloseReason;
use lowband_wire::dtls::alert::INTERNAL_ERROR;
use openssl::ssl::{self, SslRef};
use openssl::x509::X509VerifyResult;

/// Why a handshake failed. Only the connecting side reports it; the accepting side counts it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// Nothing at all has come from the peer within [`super::Limits::handshake`].
    #[error("no answer")]
    NoAnswer,
    /// The peer has answered at first, but did not finish within [`super::Limits::handshake`].
    #[error("the peer stopped answering")]
    FellSilent,
    /// The caller has begun another handshake with the same peer.
    #[error("another handshake with the same peer has begun")]
    Superseded,
    /// The peer has refused with a fatal alert. Nothing vouches for an alert in a handshake.
    #[error("{text}")]
    Alert {
        /// AlertDescription (RFC 5246 section 7.2), for example 40 for handshake_failure.
        description: u8,
        /// OpenSSL's text for the alert.
        text: String,
    },
    /// OpenSSL could not go on with what the peer has sent; the text is OpenSSL's.
    #[error("{0}")]
    Protocol(String),
    /// The peer has chosen a cipher suite that was not offered.
    #[error("a suite was agreed that was not offered")]
    ForeignSuite,
    /// OpenSSL has finished, and does not hand out what keys are derived from.
    #[error("OpenSSL has no master secret")]
    NoSecrets,
}

/// Why the server's certificate is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CertificateFailure {
    /// First error of OpenSSL's verification, as `X509_V_ERR_...` numbers it; the constants here name those
    /// that a program may want to distinguish.
    pub code: i32,
    /// OpenSSL's text for the code.
    pub text: &'static str,
}

impl CertificateFailure {
    /// The certificate, or one of its issuers, is not valid yet. Often this clock is wrong.
    pub const NOT_YET_VALID: i32 = 9;
    /// The time of the certificate, or of one of its issuers, is over.
    pub const EXPIRED: i32 = 10;
    /// The certificate is for other names than the server's.
    pub const WRONG_NAME: i32 = 62;
    /// The certificate is for other IP addresses than the server's.
    pub const WRONG_ADDRESS: i32 = 64;
}

impl From<X509VerifyResult> for CertificateFailure {
    fn from(result: X509VerifyResult) -> CertificateFailure {
        CertificateFailure { code: result.as_raw(), text: result.error_string() }
    }
}

/// Why a handshake failed, and which end found that out.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: CloseReason,
    /// Whether the peer has reported the failure, by an alert.
    pub(super) by_peer: bool,
}

/// OpenSSL's reason for an alert that it has received is the description and this (`SSL_AD_REASON_OFFSET`,
/// ssl.h).
const ALERT_REASONS: i32 = 1000;

impl Failure {
    /// Makes a failure that OpenSSL has not reported as one of its object.
    pub(super) fn ours(why: HandshakeFailure) -> Failure {
        Failure { why: CloseReason::Handshake(why), by_peer: false }
    }

    pub(super) fn of(ssl: &SslRef, error: &ssl::Error) -> Failure {
        if ssl.verify_result() != X509VerifyResult::OK && !ssl.is_server() {
            return Failure { why: CloseReason::Certificate(ssl.verify_result().into()), by_peer: false };
        }
        let stack = error.ssl_error().map_or(&[][..], |stack| stack.errors());
        let reasons: Vec<&str> = stack.iter().filter_map(|error| error.reason()).collect();
        let text = if reasons.is_empty() { error.to_string() } else { reasons.join(", ") };
        let alert = stack.iter().find_map(|error| u8::try_from(error.reason_code() - ALERT_REASONS).ok());
        let why = match alert {
            // The alert by which a server of ours refuses a session.
            Some(INTERNAL_ERROR) => CloseReason::Refused,
            Some(description) => CloseReason::Handshake(HandshakeFailure::Alert { description, text }),
            None => CloseReason::Handshake(HandshakeFailure::Protocol(text)),
        };
        Failure { why, by_peer: alert.is_some() }
    }
}
