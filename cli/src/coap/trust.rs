//! Choice of the certificates to believe: `--cacert`, `-k`, and what to say when that ends in mistrust.

use crate::exit::{Exit, Failure};
use lowband_client::Verification;
use openssl::x509::X509;
use std::fmt::Display;
use std::path::PathBuf;

/// Returns what to verify. `-k` wins, as with curl.
pub(crate) fn verification(insecure: bool, cacert: Option<PathBuf>) -> Result<Verification, Failure> {
    match cacert {
        _ if insecure => Ok(Verification::None),
        None => Ok(Verification::System),
        Some(path) => {
            let unusable = |why: String| Failure::new(Exit::CaFile, format!("{}: {why}", path.display()));
            let pem = std::fs::read(&path).map_err(|error| unusable(error.to_string()))?;
            match X509::stack_from_pem(&pem) {
                Ok(certificates) if !certificates.is_empty() => Ok(Verification::Roots(pem)),
                Ok(_) => Err(unusable("no certificate in PEM format in it".into())),
                Err(error) => Err(unusable(format!("not certificates in PEM format: {error}"))),
            }
        }
    }
}

/// Makes the failure for an untrusted certificate. `why` is OpenSSL's reason.
pub(crate) fn not_trusted(host: &str, why: impl Display) -> Failure {
    Failure::new(
        Exit::Certificate,
        format!(
            "the certificate of {host} is not trusted: {why}. If its CA is yours, name it with --cacert FILE; \
             -k connects without knowing whom to"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insecure_needs_no_certificates_and_a_file_without_any_is_refused() {
        assert!(matches!(verification(true, Some("/nonexistent".into())), Ok(Verification::None)));
        assert!(matches!(verification(false, None), Ok(Verification::System)));
        for unusable in ["/nonexistent", "/dev/null", "/proc/self/exe"] {
            assert_eq!(
                verification(false, Some(unusable.into())).unwrap_err().exit,
                Exit::CaFile,
                "{unusable}"
            );
        }
    }
}
