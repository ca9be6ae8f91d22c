//! Why a handshake failed: in words, and whether it was the certificate, which a user can do something about.

use super::event::CloseReason;
use openssl::ssl::{self, SslRef};
use openssl::x509::X509VerifyResult;

/// Why a handshake failed, for an operator or a user.
#[derive(Debug)]
pub(super) struct Failure {
    pub in_words: String,
    /// It was the server's certificate.
    certificate: bool,
    /// The server takes no session now.
    refused: bool,
    /// The peer has said so, by an alert.
    pub(super) by_peer: bool,
}

impl Failure {
    /// Before OpenSSL had anything to say.
    pub(super) fn ours(in_words: String) -> Failure {
        Failure { in_words, certificate: false, refused: false, by_peer: false }
    }

    pub(super) fn of(ssl: &SslRef, error: &ssl::Error) -> Failure {
        if ssl.verify_result() != X509VerifyResult::OK && !ssl.is_server() {
            return Failure {
                in_words: ssl.verify_result().error_string().into(),
                certificate: true,
                refused: false,
                by_peer: false,
            };
        }
        let stack = error.ssl_error().map_or(&[][..], |stack| stack.errors());
        let reasons: Vec<&str> = stack.iter().filter_map(|error| error.reason()).collect();
        // OpenSSL's words for an alert that it has received: "tlsv1 alert unknown ca", "sslv3 alert bad certificate".
        let by_peer = reasons.iter().any(|reason| reason.contains(" alert "));
        let refused = reasons.contains(&REFUSED);
        let reasons: Vec<&str> = reasons.into_iter().map(explained).collect();
        let in_words = if reasons.is_empty() { error.to_string() } else { reasons.join(", ") };
        Failure { in_words, certificate: false, refused, by_peer }
    }
}

/// OpenSSL's words for the alert by which a server of ours refuses a session.
const REFUSED: &str = "tlsv1 alert internal error";

/// What a server of ours means by it.
fn explained(reason: &str) -> &str {
    match reason {
        REFUSED => {
            "alert internal error: the server has no room for another session or is about to end, try HTTPS"
        }
        reason => reason,
    }
}

impl From<Failure> for CloseReason {
    fn from(Failure { in_words, certificate, refused, .. }: Failure) -> CloseReason {
        match (certificate, refused) {
            (true, _) => CloseReason::Certificate(in_words),
            (_, true) => CloseReason::Refused(in_words),
            _ => CloseReason::Handshake(in_words),
        }
    }
}
