//! Options for where clients connect, and which identity the server proves.

use crate::config::{Identity, Mistakes, Paths, now, values};
use crate::server_names::ServerNames;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The address, the certificate and its key.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Serving {
    /// UDP address that clients reach. The IPv6 wildcard takes IPv4 as well, and becomes 0.0.0.0 where
    /// the machine has no IPv6. Use the number of the public TCP port: clients fall back to HTTPS on
    /// the same port.
    #[arg(long, env = "LOWBAND_LISTEN", value_name = "ADDRESS", default_value = "[::]:8008")]
    listen: String,
    /// Certificate chain in PEM form, leaf first. A short P-256 chain saves datagrams on every connect.
    #[arg(long, env = "LOWBAND_CERTIFICATE", value_name = "FILE", default_value = "run/certificate.pem")]
    certificate: PathBuf,
    /// Private key of the certificate in PEM form, unencrypted, P-256 or RSA. Whoever can read it can pose
    /// as this server.
    #[arg(long, env = "LOWBAND_KEY", value_name = "FILE", default_value = "run/key.pem")]
    key: PathBuf,
    /// How often certificate and key are looked at while serving. A renewed pair is taken when two looks in a
    /// row have seen it, by SIGHUP at once; one that does not fit is told, and the old one stays.
    #[arg(long, env = "LOWBAND_CERTIFICATE_CHECK", value_name = "DURATION", default_value = "5s")]
    certificate_check: String,
    /// Names that this server goes by, with commas between them: a request that names another one (Uri-Host)
    /// gets 5.05. any believes what it is asked for. A request that names none is always served.
    #[arg(long, env = "LOWBAND_SERVER_NAMES", value_name = "NAMES", default_value = "any")]
    server_names: String,
}

/// The values of [`Serving`].
pub(in crate::config) struct Parsed {
    pub(in crate::config) listen: SocketAddr,
    pub(in crate::config) identity: Identity,
    pub(in crate::config) identity_files: Paths,
    pub(in crate::config) certificate_check: Duration,
    pub(in crate::config) server_names: ServerNames,
}

impl Serving {
    /// Parses the group. A certificate that is not valid now is a mistake only where it `must_be_timely`:
    /// when the operator asks whether the configuration is in order. Serving with such a certificate is
    /// better than not serving: some clients may accept it.
    pub(in crate::config) fn parse(&self, must_be_timely: bool, mistakes: &mut Mistakes) -> Option<Parsed> {
        let listen = mistakes.parse("--listen", &self.listen, values::address);
        let identity_files = Paths { certificate: self.certificate.clone(), key: self.key.clone() };
        let identity = identity(&identity_files, must_be_timely, mistakes);
        let certificate_check =
            mistakes.parse("--certificate-check", &self.certificate_check, values::some_duration);
        let server_names = mistakes.parse("--server-names", &self.server_names, ServerNames::parse);
        Some(Parsed {
            listen: listen?,
            identity: identity?,
            identity_files,
            certificate_check: certificate_check?,
            server_names: server_names?,
        })
    }
}

fn identity(files: &Paths, must_be_timely: bool, mistakes: &mut Mistakes) -> Option<Identity> {
    match files.judge(&files.read()) {
        Ok(identity) => {
            if must_be_timely {
                mistakes.extend(files.untimely(&identity, now()));
            }
            Some(identity)
        }
        Err(why) => {
            mistakes.extend(why);
            None
        }
    }
}
