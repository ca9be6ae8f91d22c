//! What "Hello World" costs a client on the reference's stack: on a new connection, and on an open one.
//!
//! The figures are for a certificate, a token and a room id of fixed lengths, so that they can be compared;
//! ours differ by a few bytes from run to run, and are reckoned back to those lengths.

use crate::call::Call;
use crate::error::{Error, Result};
use crate::fixture::Fixture;
use crate::matrix::{self, User};
use crate::reference::{Reference, Told};
use crate::relay::Relay;
use crate::tcp::Traffic;
use openssl::x509::X509;
use serde_json::json;

/// Length of the certificate in bytes of DER.
const CERTIFICATE: usize = 413;
/// Length of the token in bytes. An option of 13 to 268 bytes has a header of one length (RFC 7252 section
/// 3.1), so nothing but token and room id grows with their lengths.
const TOKEN: usize = 40;
const ROOM_ID: usize = 43;
const TEXT: &str = "Hello World";
/// A name of six letters makes Synapse's token 40 bytes long.
const NAME: &str = "gopher";

/// Datagrams and bytes in both directions.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Datagrams in both directions.
    pub datagrams: u64,
    /// UDP payload in bytes.
    pub bytes: u64,
}

/// The two figures.
#[derive(Clone, Copy, Debug)]
pub struct HelloWorld {
    /// Cost of the handshake, the request with the token, and the response.
    pub connected: Cost,
    /// Cost of a second request, which needs no token, and of its response.
    pub live: Cost,
}

/// Measures both costs through a relay, once on each chain.
pub async fn measure(fixture: &Fixture) -> Result<HelloWorld> {
    let mut https = fixture.https().await?;
    let user = matrix::sign_in(&mut https, &User::new(NAME)).await?;
    let room = matrix::create_room(&mut https, &user, &[]).await?;
    // The homeserver knows these answers already. So they come before the early acknowledgement, which would
    // cost two datagrams more, even on a busy machine: what is measured is the wire.
    let transactions = ["m1", "m2"];
    for transaction in transactions {
        matrix::send(&mut https, &user, &room, transaction, TEXT).await?;
    }
    let relay = Relay::start(fixture.chain.address()).await?;
    let mut client = Reference::start(&fixture.parts, relay.address()).await?;
    let mut sums = [Traffic::default(); 2];
    for (transaction, sum) in transactions.into_iter().zip(&mut sums) {
        let target = format!("/_matrix/client/r0/rooms/{room}/send/m.room.message/{transaction}");
        let body = json!({"msgtype": "m.text", "body": TEXT});
        expect_sent(&client.call(&Call::put(target, body).by(&user.token)).await?)?;
        *sum = relay.traffic().await?;
    }
    client.end().await?;

    let [connected, both] = sums;
    let once = [(certificate_length(fixture)?, CERTIFICATE), (user.token.len(), TOKEN)];
    let each = [(room.len(), ROOM_ID)];
    Ok(HelloWorld {
        connected: reckoned(connected, once.iter().chain(&each)),
        live: reckoned(both - connected, each.iter()),
    })
}

fn expect_sent(told: &Told) -> Result<()> {
    if told.over == "coap" && told.code == "2.05" {
        return Ok(());
    }
    Err(Error::Wrong {
        what: "PUT \"Hello World\" on the reference's client stack".to_owned(),
        expected: "2.05 over CoAP".to_owned(),
        got: format!("{} over {}: {}", told.code, told.over, told.body),
    })
}

fn certificate_length(fixture: &Fixture) -> Result<usize> {
    let path = &fixture.chain.certificate.certificate;
    let pem = std::fs::read(path).map_err(Error::io(format!("read {}", path.display())))?;
    let der = X509::from_pem(&pem).and_then(|certificate| certificate.to_der());
    Ok(der.map_err(|why| Error::Setup(format!("{}: {why}", path.display())))?.len())
}

/// Returns what the cost would be if each thing had its other length.
fn reckoned<'l>(traffic: Traffic, lengths: impl Iterator<Item = &'l (usize, usize)>) -> Cost {
    let bytes = lengths.fold(traffic.payload, |bytes, &(ours, theirs)| bytes + theirs as u64 - ours as u64);
    Cost { datagrams: traffic.packets, bytes }
}
