//! How fast this machine is at what the sidecar spends its time on, so that figures of two machines can be compared.

use crate::usage::processor_time;
use lowband_e2e::{Error, Result};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::sha::sha256;
use std::hint::black_box;
use std::time::Duration;

/// P-256 signatures in one second of processor time.
pub(crate) fn signatures(spend: Duration) -> Result<f64> {
    let key = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).and_then(|group| EcKey::generate(&group));
    let key = key.map_err(openssl)?;
    rate(spend, 50, || EcdsaSig::sign(&[7; 32], &key).map(|_| ()))
}

/// Megabytes (10^6) through SHA-256 in one second of processor time.
pub(crate) fn sha256_megabytes(spend: Duration) -> Result<f64> {
    const BLOCK: usize = 10_000;
    let bytes = vec![7; BLOCK];
    let blocks = rate(spend, 50, || {
        black_box(sha256(black_box(&bytes)));
        Ok(())
    })?;
    Ok(blocks * BLOCK as f64 / 1e6)
}

fn rate(
    spend: Duration,
    between_looks: u32,
    mut work: impl FnMut() -> std::result::Result<(), ErrorStack>,
) -> Result<f64> {
    let own = std::process::id();
    let begin = processor_time(own)?;
    let mut done = 0;
    loop {
        for _ in 0..between_looks {
            work().map_err(openssl)?;
        }
        done += between_looks;
        let spent = processor_time(own)? - begin;
        if spent >= spend {
            return Ok(f64::from(done) / spent.as_secs_f64());
        }
    }
}

fn openssl(why: ErrorStack) -> Error {
    Error::Setup(format!("OpenSSL cannot be measured: {why}"))
}
