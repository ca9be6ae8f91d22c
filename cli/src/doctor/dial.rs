//! Each address by UDP and DTLS, on its own.

use super::answers::Ways;
use super::check::{Check, Report};
use super::seen::{Chain, Seen};
use crate::coap::{Job, dtls};
use crate::exit::{Exit, Failure};
use crate::words::counted;
use lowband_client::trace::Tracer;
use lowband_client::{ConnectOptions, Connection, Error, Settings, Verification};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const UDP: &str = "udp";
const DTLS: &str = "dtls";
const CERTIFICATE: &str = "certificate";

/// A connection, and what has been seen of it.
pub(crate) struct Line {
    pub(crate) connection: Connection,
    seen: Arc<Mutex<Seen>>,
}

impl Line {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Dials each address; returns the first connection.
pub(crate) async fn each(
    job: &Job,
    addresses: &[SocketAddr],
    ways: &Ways,
    report: &mut Report,
) -> Result<Option<Line>, Failure> {
    let mut first = None;
    let has_ipv4 = addresses.iter().any(SocketAddr::is_ipv4);
    for &server in addresses {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let begin = Instant::now();
        let outcome = connect(job, server, &seen).await;
        let took = begin.elapsed();
        let checks = {
            let seen = lock(&seen);
            match &outcome {
                Ok(_) => connected(job, server, took, &seen),
                Err(error) => failed(job, server, error, &seen, ways, has_ipv4),
            }
        };
        for check in checks {
            report.add(check.fact("address", server.to_string()))?;
        }
        match outcome {
            Ok(connection) if first.is_none() => first = Some(Line { connection, seen }),
            Ok(connection) => connection.close().await,
            Err(_) => {}
        }
    }
    Ok(first)
}

async fn connect(job: &Job, server: SocketAddr, seen: &Arc<Mutex<Seen>>) -> Result<Connection, Error> {
    let options = ConnectOptions {
        server,
        server_name: job.destination.host.clone(),
        verification: job.verification.clone(),
        connect_timeout: job.connect_timeout,
    };
    let seen = Arc::clone(seen);
    let tracer = Some(Tracer::new(move |what| lock(&seen).see(what)));
    Connection::connect_with(options, Settings { tracer, ..Settings::from_environment() }).await
}

fn connected(job: &Job, server: SocketAddr, took: Duration, seen: &Seen) -> Vec<Check> {
    let milliseconds = took.as_millis();
    let udp = Check::ok(UDP, format!("{server} answers, connected in {milliseconds} ms"))
        .fact("connected_ms", u64::try_from(milliseconds).unwrap_or(u64::MAX));
    vec![udp, dtls_of(server, seen), certificate_of(job, server, seen)]
}

fn dtls_of(server: SocketAddr, seen: &Seen) -> Check {
    match seen.chosen() {
        Some((version, suite)) => Check::ok(DTLS, format!("{server}: {version}, {suite}"))
            .fact("version", version)
            .fact("suite", suite),
        None => Check::unseen(DTLS, format!("{server}: connected, and the server's choice was not read")),
    }
}

fn certificate_of(job: &Job, server: SocketAddr, seen: &Seen) -> Check {
    let Some(chain) = seen.chain() else {
        return Check::unseen(CERTIFICATE, format!("{server}: the certificate could not be read"));
    };
    let text = format!("{server}: {}", in_words(&chain));
    let check = if matches!(job.verification, Verification::None) {
        Check::warn(CERTIFICATE, format!("{text}; not verified"))
            .cure("Leave out -k to see what clients see, or name your CA with --cacert FILE")
    } else if chain.left < chain.lifetime / 10 {
        Check::warn(CERTIFICATE, text)
            .cure("Less than a tenth of its time is left: see why nothing has renewed it as yet")
    } else {
        Check::ok(CERTIFICATE, text)
    };
    with_facts(check, &chain)
}

fn in_words(chain: &Chain) -> String {
    let Chain { certificates, bytes, datagrams, .. } = chain;
    let left = match chain.left {
        left if left < 0 => format!("ended {}", in_days(-left)) + " ago",
        left => format!("{} left", in_days(left)),
    };
    let [bytes, datagrams] = [counted(*bytes, "byte"), counted(*datagrams, "datagram")];
    format!("for {}; {left}; {certificates} in the chain, {bytes} in {datagrams}", chain.names.join(", "))
}

fn in_days(seconds: i64) -> String {
    match seconds / 86_400 {
        0 => counted(seconds / 3600, "hour"),
        days => counted(days, "day"),
    }
}

fn with_facts(check: Check, chain: &Chain) -> Check {
    check
        .fact("names", chain.names.clone())
        .fact("seconds_left", chain.left)
        .fact("certificates", chain.certificates)
        .fact("bytes", chain.bytes)
        .fact("datagrams", chain.datagrams)
}

fn failed(
    job: &Job,
    server: SocketAddr,
    error: &Error,
    seen: &Seen,
    ways: &Ways,
    has_ipv4: bool,
) -> Vec<Check> {
    let failure = dtls::not_connected(error, &job.destination.host, server);
    let text = match error {
        Error::ConnectTimeout(time) if seen.datagrams == 0 => format!("nothing answers within {time:.1?}"),
        Error::Refused(_) => "connection refused: nobody listens there".into(),
        Error::ConnectTimeout(time) => format!("the handshake did not end within {time:.1?}"),
        _ => failure.to_string(),
    };
    let failure = Failure::new(failure.exit, format!("{server}: {text}"));
    if has_ipv4 && lacks_ipv6(error, server) {
        let text = format!("{server}: this machine has no way to IPv6");
        return vec![Check::unseen(UDP, text).cure("Ask again from a machine that has one, or say -4")];
    }
    if seen.datagrams == 0 {
        return vec![Check::failed(UDP, &failure).cure(cure_of_udp(job, ways, error))];
    }
    let mut checks = vec![Check::ok(UDP, format!("{server} answers"))];
    if let Error::Certificate(_) = error {
        checks.push(dtls_of(server, seen));
        let check = Check::failed(CERTIFICATE, &failure);
        checks.push(match seen.chain() {
            Some(chain) => {
                let told = Failure::new(failure.exit, format!("{failure}. It is {}", in_words(&chain)));
                with_facts(Check::failed(CERTIFICATE, &told), &chain)
            }
            None => check,
        });
    } else {
        checks.push(Check::failed(DTLS, &failure).cure(cure_of_handshake(error)));
    }
    checks
}

/// Returns whether it is this machine that cannot reach the address, for want of IPv6.
fn lacks_ipv6(error: &Error, server: SocketAddr) -> bool {
    let Error::Socket(error) = error else { return false };
    let unreached = [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable, ErrorKind::AddrNotAvailable];
    server.is_ipv6() && unreached.contains(&error.kind())
}

/// Says what to do about an address that refuses UDP, or is silent.
fn cure_of_udp(job: &Job, ways: &Ways, error: &Error) -> String {
    let port = job.destination.port;
    match (ways.advertised_over_https(), ways.https_answers()) {
        (Some(advertised), _) if advertised != u64::from(port) => {
            format!("The server advertises UDP port {advertised}: ask for that one")
        }
        // The refusal is itself an answer of the host, or of a firewall in its place.
        _ if matches!(error, Error::Refused(_)) => format!(
            "A refusal is an answer: see that the sidecar runs, that it listens on UDP port {port} of this \
             address, and that no firewall rejects it"
        ),
        (_, true) => format!(
            "HTTPS answers, so the host is up: see that the sidecar runs, and let UDP port {port} through \
             firewalls, security groups and load balancers, this network's too"
        ),
        _ => format!("See that the host is up and the sidecar runs, and that UDP port {port} is open"),
    }
}

fn cure_of_handshake(error: &Error) -> &'static str {
    match error {
        Error::Unavailable => "Ask again later, or see the sidecar's limits of sessions",
        Error::ConnectTimeout(_) => {
            "Its first datagrams came, and the rest did not: large ones may be lost on the way; a smaller \
             certificate chain, and ICMP that is let through, help"
        }
        _ => "The sidecar's log at level debug says why it ended the handshake",
    }
}

/// Makes the failure of an answer that did not come in time.
pub(crate) fn too_late(what: &str, time: Duration) -> Failure {
    Failure::new(Exit::Timeout, format!("no answer to {what} within {time:.1?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_is_no_fault_of_the_server() {
        let [v4, v6] = ["192.0.2.1:1", "[2001:db8::1]:1"].map(|address| address.parse().unwrap());
        let unreachable = Error::Socket(ErrorKind::NetworkUnreachable.into());
        assert!(lacks_ipv6(&unreachable, v6));
        assert!(!lacks_ipv6(&unreachable, v4));
        assert!(!lacks_ipv6(&Error::Socket(ErrorKind::PermissionDenied.into()), v6));
        assert!(!lacks_ipv6(&Error::Refused(v6), v6));
    }

    #[test]
    fn time_left_is_told_in_hours_and_then_in_days() {
        for (seconds, told) in
            [(0, "0 hours"), (3600, "1 hour"), (86_399, "23 hours"), (86_400, "1 day"), (864_000, "10 days")]
        {
            assert_eq!(in_days(seconds), told);
        }
    }
}
