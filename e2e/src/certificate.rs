//! The key and certificate of a run, made by the openssl commands that docs/operations.md explains: one pair
//! for DTLS and HTTPS.

use crate::error::{Error, Result};
use crate::parts::system_program;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The two PEM files of a run.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Path of the certificate, which is self-signed: clients have to believe this file too.
    pub certificate: PathBuf,
    /// Path of the key, P-256, readable by its owner only.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes `key.pem` and `certificate.pem` in `folder`, for this machine's loopback names.
    pub fn make(folder: &Path) -> Result<Certificate> {
        let made = Certificate { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
        openssl(folder, "ecparam -name prime256v1 -genkey -noout -out key.pem")?;
        let only_me = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&made.key, only_me).map_err(Error::io("protect the key"))?;
        openssl(
            folder,
            "req -new -x509 -key key.pem -out certificate.pem -days 365 -subj /CN=localhost \
             -addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1",
        )?;
        Ok(made)
    }
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let program = system_program("openssl", "setup")?;
    let output = Command::new(program).args(arguments.split_ascii_whitespace()).current_dir(folder).output();
    let output = output.map_err(Error::io("run openssl"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Setup(format!("`openssl {arguments}` failed ({}): {}", output.status, said.trim())))
}
