//! Why a server, a client or one of their layers cannot be set up: all mistakes of a configuration, each as
//! a value.

use std::fmt;
use std::time::Duration;

/// Longest time that may be set: times are added to the clock and multiplied, which must not overflow.
pub(crate) const LONGEST_TIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// Why something cannot be set up. Displayed, each mistake has a line of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct SetupError(Vec<Mistake>);

impl SetupError {
    /// Returns all mistakes that were found, in the order of the configuration; one at least.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }

    /// Succeeds if no mistake was found.
    pub(crate) fn unless_empty(mistakes: Vec<Mistake>) -> Result<(), SetupError> {
        if mistakes.is_empty() { Ok(()) } else { Err(SetupError(mistakes)) }
    }
}

impl From<Mistake> for SetupError {
    fn from(mistake: Mistake) -> SetupError {
        SetupError(vec![mistake])
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            let line_end = if at == 0 { "" } else { "\n" };
            write!(f, "{line_end}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SetupError {}

/// What is wrong with one part of a configuration, or with what was asked of an endpoint. Displayed, it is
/// a line for an operator.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// A limit that must let something through is 0.
    #[error("limit {limit} must not be 0")]
    LimitOfZero {
        /// Name of the field of [`crate::dtls::Limits`].
        limit: &'static str,
    },
    /// A limit in bytes is out of its range.
    #[error("limit {limit} is {value}; it must be {least} to {most} bytes")]
    LimitInBytes {
        /// Name of the field of [`crate::dtls::Limits`].
        limit: &'static str,
        /// Bytes that were asked for.
        value: usize,
        /// The least that is allowed, in bytes.
        least: usize,
        /// The most that is allowed, in bytes.
        most: usize,
    },
    /// A limit in time is 0 or more than a year, which could not be added to the clock.
    #[error("limit {limit} must be more than 0 and at most a year")]
    LimitInTime {
        /// Name of the field of [`crate::dtls::Limits`].
        limit: &'static str,
        /// Time that was asked for.
        value: Duration,
    },
    /// A time of the message layer is 0 or more than a year.
    #[error("time {time} must be more than 0 and at most a year")]
    Time {
        /// Name of the field of [`crate::coap::Times`].
        time: &'static str,
        /// Time that was asked for.
        value: Duration,
    },
    /// A number of the message layer is out of its range.
    #[error("{count} is {value}; it must be {least} to {most}")]
    Count {
        /// Name of the field of [`crate::coap::Times`].
        count: &'static str,
        /// Number that was asked for.
        value: u32,
        /// The least that is allowed.
        least: u32,
        /// The most that is allowed.
        most: u32,
    },
    /// A factor of the message layer is out of its range.
    #[error("factor {factor} is {value}; it must be 1 to 10")]
    Factor {
        /// Name of the field of [`crate::coap::Times`].
        factor: &'static str,
        /// Factor that was asked for.
        value: f64,
    },
    /// The certificate chain of [`crate::dtls::ServerIdentity`] cannot be served.
    #[error("certificate: {0}")]
    Certificate(CertificateMistake),
    /// The private key of [`crate::dtls::ServerIdentity`] cannot be served.
    #[error("private key: {0}")]
    PrivateKey(KeyMistake),
    /// [`crate::dtls::Verification::Roots`] has no CA certificate.
    #[error("CA certificates: not PEM, or no readable CERTIFICATE block in it")]
    Roots,
    /// The text that was given as the name of a server cannot be one.
    #[error("`{}` is not a server name", .0.escape_debug())]
    ServerName(String),
    /// An identity was given to an endpoint without [`crate::dtls::Config::server`].
    #[error("this endpoint does not accept")]
    DoesNotAccept,
    /// A handshake was to be started by an endpoint without [`crate::dtls::Config::client`].
    #[error("this endpoint does not connect")]
    DoesNotConnect,
    /// OpenSSL has refused something that this crate took for valid; the text is OpenSSL's.
    #[error("OpenSSL: {0}")]
    OpenSsl(String),
}

/// What is wrong with a certificate chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateMistake {
    /// There is nothing but white space.
    #[error("the file is empty")]
    Empty,
    /// There is not a single PEM block.
    #[error("{NOT_PEM}")]
    NotPem,
    /// The file has PEM blocks, none of them a certificate.
    #[error("no CERTIFICATE block in it{}", if *.holds_key { HOLDS_A_KEY } else { "" })]
    NoBlock {
        /// Whether one of the blocks is a private key.
        holds_key: bool,
    },
    /// A CERTIFICATE block is not base64 of a certificate.
    #[error("a CERTIFICATE block cannot be decoded; the file is damaged")]
    Damaged,
    /// The private key belongs to another certificate of the chain than the first.
    #[error("the one that the private key belongs to is number {number} in the file; it must come first")]
    NotFirst {
        /// Place of that certificate in the file, counted from 1.
        number: usize,
    },
}

/// What is wrong with a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyMistake {
    /// There is nothing but white space.
    #[error("the file is empty")]
    Empty,
    /// There is not a single PEM block.
    #[error("{NOT_PEM}")]
    NotPem,
    /// The file has PEM blocks, none of them a private key.
    #[error("no PRIVATE KEY block in it{}", if *.holds_certificate { HOLDS_A_CERTIFICATE } else { "" })]
    NoBlock {
        /// Whether one of the blocks is a certificate.
        holds_certificate: bool,
    },
    /// The block is not base64 of a private key.
    #[error("the block cannot be decoded; the file is damaged")]
    Damaged,
    /// A passphrase would be needed.
    #[error("it is encrypted; remove the passphrase with `openssl pkey -in KEY -out NEW`")]
    Encrypted,
    /// The curve of an elliptic key is not P-256.
    #[error("the curve is {curve}; only P-256 (prime256v1) is served; {ADVICE}")]
    Curve {
        /// OpenSSL's short name of the curve, or `unnamed`.
        curve: &'static str,
    },
    /// An RSA key is too short.
    #[error("RSA of {bits} bits; at least {least} are needed")]
    WeakRsa {
        /// Length of the modulus in bits.
        bits: u32,
        /// The least that is allowed, in bits.
        least: u32,
    },
    /// An Edwards curve, for which OpenSSL has no suite of DTLS 1.2.
    #[error("Ed25519 and Ed448 do not work in DTLS 1.2 with OpenSSL; a P-256 key is needed: {ADVICE}")]
    EdwardsCurve,
    /// Neither an elliptic curve nor RSA.
    #[error("neither P-256 nor RSA; {ADVICE}")]
    Kind,
    /// No certificate of the chain has its public key.
    #[error("it does not belong to the certificate")]
    OfAnotherCertificate,
}

const NOT_PEM: &str = "not PEM (no line `-----BEGIN ...`); \
                       DER is converted with `openssl x509` or `openssl pkey`, `-inform der`";
const HOLDS_A_KEY: &str = ": it holds a key; are the two files swapped?";
const HOLDS_A_CERTIFICATE: &str = ": it holds a certificate; are the two files swapped?";
const ADVICE: &str = "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_has_its_line() {
        let error = SetupError(vec![
            Mistake::LimitOfZero { limit: "sessions" },
            Mistake::ServerName("a\0b".into()),
            Mistake::Certificate(CertificateMistake::NoBlock { holds_key: true }),
            Mistake::PrivateKey(KeyMistake::NoBlock { holds_certificate: false }),
        ]);
        assert_eq!(
            error.to_string(),
            "limit sessions must not be 0\n\
             `a\\0b` is not a server name\n\
             certificate: no CERTIFICATE block in it: it holds a key; are the two files swapped?\n\
             private key: no PRIVATE KEY block in it"
        );
        assert_eq!(SetupError::unless_empty(error.mistakes().to_vec()), Err(error));
        assert_eq!(SetupError::unless_empty(Vec::new()), Ok(()));
    }
}
