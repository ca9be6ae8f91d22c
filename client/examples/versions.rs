//! Asks a server for its versions of Matrix, over a connection that outlives its sessions.
//!
//! ```sh
//! cargo run -p lowband-client --example versions -- 127.0.0.1:8008 localhost run/certificate.pem
//! ```
//!
//! The third argument names the CA certificates to believe; without it those of the system are.

use lowband_client::{ConnectOptions, LastingConnection, Request, Verification};
use std::error::Error;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("versions ADDRESS:PORT NAME [CERTIFICATES]".into());
    };
    let verification = match arguments.next() {
        Some(file) => Verification::Roots(std::fs::read(file)?),
        None => Verification::System,
    };
    let options = ConnectOptions {
        server: address.parse()?,
        server_name: name,
        verification,
        connect_timeout: Duration::from_secs(30),
    };
    println!("{}", ask_for_versions(options).await?);
    Ok(())
}

/// Returns the versions as JSON.
pub(crate) async fn ask_for_versions(options: ConnectOptions) -> Result<String, Box<dyn Error>> {
    let connection = LastingConnection::connect(options).await?;
    // If the session ends meanwhile, the request is made again on the next one.
    let response = connection.request(Request::get("/_matrix/client/versions")).await?;
    connection.close().await;
    if !response.is_success() {
        return Err(response.code.with_reason().into());
    }
    // Without a Content-Format a body is CBOR.
    Ok(String::from_utf8(lowband_codec::cbor_to_json(&response.body)?)?)
}
