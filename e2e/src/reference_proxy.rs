//! The proxy of `foreign/reference/proxy`: CoAP and DTLS on one side, JSON over HTTP on the other, on the
//! stack of the protocol's first implementation.

use crate::certificate::Certificate;
use crate::driven::Driven;
use crate::error::{Error, Result};
use crate::parts::Parts;
use crate::reference::tables;
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::process::Command;

/// A running proxy. If it is dropped, it is killed.
#[derive(Debug)]
pub struct ReferenceProxy {
    address: SocketAddr,
    id: u32,
    _proxy: Driven,
}

impl ReferenceProxy {
    /// Starts the proxy before the homeserver at this URL, on a free port of loopback.
    pub async fn start(parts: &Parts, homeserver: &str, certificate: &Certificate) -> Result<ReferenceProxy> {
        let mut proxy =
            Driven::start("the proxy on the reference's stack", Command::new(parts.reference_proxy()?))?;
        let (keys, paths) = tables();
        let Certificate { certificate, key } = certificate;
        let files = json!({"homeserver": homeserver, "certificate": certificate, "key": key, "keys": keys, "paths": paths});
        let port: u16 = proxy.order("its port", &files).await?;
        let id =
            proxy.id().ok_or_else(|| Error::Setup("the reference's proxy has no process id".to_owned()))?;
        Ok(ReferenceProxy { address: (Ipv4Addr::LOCALHOST, port).into(), id, _proxy: proxy })
    }

    /// Returns the UDP address that clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.id
    }
}
