//! The private key of the accepting side, in the form in which it is read.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A private key in PEM form. Clones share one copy, which is wiped with the last of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PrivateKey(Arc<Zeroizing<Vec<u8>>>);

impl From<Vec<u8>> for PrivateKey {
    fn from(pem: Vec<u8>) -> PrivateKey {
        PrivateKey(Arc::new(Zeroizing::new(pem)))
    }
}

impl Deref for PrivateKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    // The key must not reach a log by way of `{:?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_copy_and_none_shows_it() {
        let key = PrivateKey::from(b"secret".to_vec());
        let clone = key.clone();
        assert_eq!((clone.as_ptr(), &*clone), (key.as_ptr(), &b"secret"[..]));
        assert!(!format!("{key:?}").contains("secret"));
    }
}
