//! Connections that are to end, and clients that do nothing about it.

use super::*;
use crate::certificate::Certificate;
use crate::https::Https;
use crate::stats::Stats;
use crate::testing;
use crate::ways::Ways;
use openssl::pkey::PKey;
use openssl::x509::X509;
use tokio::io::AsyncWriteExt;

const NOBODY: ([u8; 4], u16) = ([127, 0, 0, 1], 9);

/// Returns the time after which a connection of a client ends that is told to, once the client has sent
/// `beginning` and then says no more.
async fn time_to_leave(beginning: &[u8], has_tls: bool) -> Duration {
    let certificate = Certificate::for_loopback();
    let settings = Arc::new(testing::settings(&certificate, NOBODY.into(), NOBODY.into()));
    let stats = Stats::default();
    let https = Https::new(&settings, &stats).unwrap();
    let ways = Ways::start(&settings, &https, &stats).unwrap();
    let (_end, ending) = watch::channel(false);
    let proxy = Arc::new(Proxy::new(settings, NOBODY.0.into(), (ways, https, stats), ending.clone()));
    let tls = has_tls.then(|| {
        let mut tls = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        tls.set_certificate(&X509::from_pem(&certificate.chain).unwrap()).unwrap();
        tls.set_private_key(&PKey::private_key_from_pem(&certificate.key).unwrap()).unwrap();
        tls.build()
    });
    // With room for one byte, all the others have been read once the last is written.
    let (client, stream) = tokio::io::duplex(1);
    let (mut answers, mut client) = tokio::io::split(client);
    tokio::spawn(async move { tokio::io::copy(&mut answers, &mut tokio::io::sink()).await });
    let seat = Arc::new(Seat::default());
    seat.rest();
    let carried = carry(proxy, stream, NOBODY.into(), tls, Arc::clone(&seat), ending);
    let carried = tokio::spawn(carried);
    client.write_all(beginning).await.unwrap();
    let begin = Instant::now();
    seat.leave.notify_one();
    carried.await.unwrap();
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_do_its_part_keeps_no_connection_that_is_to_end() {
    // A preface of HTTP/2 and empty settings; the client answers no ping.
    let http_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for (beginning, has_tls) in [
        (&b""[..], false),
        (b"G", false),
        (b"GET /_matrix/client/versions HTTP/1.1\r\nhost: local", false),
        (http_2, false),
        (b"", true),
        // The beginning of a record.
        (b"\x16\x03", true),
    ] {
        let took = time_to_leave(beginning, has_tls).await;
        assert!(took <= 2 * PAUSE, "{took:?}: {}", String::from_utf8_lossy(beginning));
    }
}
