//! Choice of the certificates to believe: `--cacert`, `-k`, and what to say when that ends in mistrust.

use crate::exit::{Exit, Failure};
use lowband_client::{CertificateFailure, Verification};
use openssl::x509::X509;
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

/// Makes the failure for a certificate that is not accepted, with the cure for what is wrong with it.
pub(crate) fn not_trusted(host: &str, why: CertificateFailure) -> Failure {
    let cure = match why.code {
        CertificateFailure::EXPIRED => {
            "The server's operator has to renew it, or the clock of this machine is wrong"
        }
        CertificateFailure::NOT_YET_VALID => {
            "Its time has still to come, or the clock of this machine is wrong"
        }
        CertificateFailure::WRONG_NAME | CertificateFailure::WRONG_ADDRESS => {
            "It is made out to another host: ask for that name, by --resolve NAME:PORT:ADDRESS if no resolver knows it"
        }
        _ => "If its CA is yours, name it with --cacert FILE",
    };
    Failure::new(
        Exit::Certificate,
        format!(
            "the certificate of {host} is not trusted: {}. {cure}; -k connects without knowing whom to",
            why.text
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

    #[test]
    fn the_cure_is_that_of_what_is_wrong() {
        for (code, cure) in [
            (CertificateFailure::EXPIRED, "renew"),
            (CertificateFailure::NOT_YET_VALID, "clock"),
            (CertificateFailure::WRONG_NAME, "--resolve"),
            (CertificateFailure::WRONG_ADDRESS, "--resolve"),
            // A self-signed certificate, and an issuer that is not known.
            (18, "--cacert"),
            (20, "--cacert"),
        ] {
            let told = not_trusted("hs", CertificateFailure { code, text: "why" }).to_string();
            assert!(told.contains(cure) && told.contains("-k"), "{code}: {told}");
            assert_eq!(told.contains("--cacert"), cure == "--cacert", "{code}: {told}");
        }
    }
}
