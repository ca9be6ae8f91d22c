//! The authorities that vouch for the homeserver's certificate.

use openssl::error::ErrorStack;
use openssl::ssl::SslConnectorBuilder;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use std::path::Path;

/// Certificates of authorities.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// `None` for those that the system trusts.
    own: Option<Vec<X509>>,
}

impl Roots {
    /// Reads a file with certificates in PEM form, which alone are trusted then.
    ///
    /// # Errors
    ///
    /// Fails with a phrase that fits after the file's name.
    pub fn read(file: &Path) -> Result<Roots, String> {
        let text = std::fs::read(file).map_err(|why| format!("cannot be read: {why}"))?;
        match X509::stack_from_pem(&text) {
            Ok(own) if !own.is_empty() => Ok(Roots { own: Some(own) }),
            _ => Err("holds no certificate in PEM form".to_owned()),
        }
    }

    /// Has connections verified against these authorities.
    pub(crate) fn apply(&self, tls: &mut SslConnectorBuilder) -> Result<(), ErrorStack> {
        let Some(own) = &self.own else { return Ok(()) };
        let mut store = X509StoreBuilder::new()?;
        for root in own {
            store.add_cert(root.clone())?;
        }
        tls.set_cert_store(store.build());
        Ok(())
    }
}
