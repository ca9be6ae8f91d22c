//! `lowband doctor`: whether the whole path to a low-bandwidth server works, and if not, where it ends.
//!
//! ```text
//! URL -> name -> https (the way back to TCP) -> for each address: udp, dtls, certificate
//!     -> on the first session: coap, agreement, well-known, large, round trip -> lines or JSON -> exit status
//! ```

mod answers;
mod check;
mod dial;
mod seen;

use crate::coap::address::{Choice, Family, Fixed};
use crate::coap::args::parse_seconds;
use crate::coap::header::Headers;
use crate::coap::verbose::Verbose;
use crate::coap::{Job, dial as coap_dial, trust, url};
use crate::environment;
use crate::exit::{Exit, Failure};
use crate::output;
use answers::Ways;
use check::{Check, Report};
use lowband_client::Method;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Tell whether the whole path to a low-bandwidth server works, and if not, where it ends
///
/// Looks at the host's name, HTTPS on the same port (what clients fall back to), UDP, DTLS and the
/// certificate at each of its addresses, /versions over both ways and whether they agree, what
/// /.well-known/matrix/client says, an answer of several blocks, round trips and losses. Needs no account.
///
/// Each line is `ok`, or a sentence with the cure: `warn` works and wants a look, `not seen` could not be
/// looked at, `failed` is what the exit status tells. Whether the homeserver takes x-forwarded-for for the
/// client's address cannot be seen from here without an account: look at the addresses in its log, or at
/// those of your sessions in your client's settings.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help())]
pub(crate) struct DoctorArgs {
    /// `coaps://HOST[:PORT]`, as with `lowband coap`; a path is not looked at
    #[arg(value_name = "URL")]
    url: String,
    /// Write one object of JSON instead of lines
    #[arg(long)]
    json: bool,
    /// Do not verify the server's certificate
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust the CA certificates of this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Give up on an address, or on an answer, after this time
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    connect_timeout: Duration,
    /// Port of HTTPS, where that is not the number of the UDP port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    https_port: Option<u16>,
    /// Dial only IPv4 addresses of the host
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Dial only IPv6 addresses of the host
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Dial these addresses instead of asking a resolver for the host; SNI and certificate are the host's
    #[arg(long, value_name = "HOST:PORT:ADDRESS[,ADDRESS]", value_parser = Fixed::parse)]
    resolve: Vec<Fixed>,
}

fn after_help() -> String {
    format!(
        "Examples:
  lowband doctor coaps://hs.example
  lowband doctor --cacert ca.pem --https-port 443 coaps://hs.example:5684
  lowband doctor -k --resolve hs.example:8008:192.0.2.7 hs.example
  lowband doctor --json hs.example

{}

{}
Of several failures the first decides.",
        environment::OF_SESSIONS,
        Exit::help_of_doctor()
    )
}

pub(crate) fn run(arguments: DoctorArgs) -> Result<(), Failure> {
    let lines = (!arguments.json).then(output::colours);
    let (coap, https) = prepare(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Connect, format!("no runtime: {error}")))?;
    let mut report = Report::new(lines);
    let outcome = runtime.block_on(examine(&coap, &https, &mut report));
    // A name that is still being resolved after its time is not waited for.
    runtime.shutdown_background();
    outcome?;
    report.end(&coap.destination.authority)
}

/// Makes what is the same for all checks: the destination over UDP, and over TCP.
fn prepare(arguments: DoctorArgs) -> Result<(Job, Job), Failure> {
    let family = match (arguments.ipv4, arguments.ipv6) {
        (true, _) => Family::Ipv4,
        (_, true) => Family::Ipv6,
        _ => Family::Any,
    };
    let verification = trust::verification(arguments.insecure, arguments.cacert)?;
    let job = |https_port: Option<u16>| {
        let mut destination = url::parse(&arguments.url)?;
        let mut fixed = arguments.resolve.clone();
        if let Some(port) = https_port {
            fixed.iter_mut().for_each(|fixed| fixed.change_port(destination.port, port));
            destination.change_port(port);
        }
        Ok(Job {
            destination,
            addresses: Choice { family, fixed },
            method: Method::Get,
            headers: Headers::parse(&[])?,
            body: None,
            verification: verification.clone(),
            verbose: Verbose::new(0),
            connect_timeout: arguments.connect_timeout,
            deadline: None,
        })
    };
    Ok((job(None)?, job(arguments.https_port)?))
}

/// Looks at everything. Fails only if the report cannot be written.
async fn examine(coap: &Job, https: &Job, report: &mut Report) -> Result<(), Failure> {
    let Some(addresses) = look_up(coap, report).await? else {
        let https = answers::over_tcp(https).0;
        let checks = [https, "udp", "coap", "agreement", "well-known", "large", "round trip"];
        return checks.into_iter().try_for_each(|name| report.add(Check::unseen(name, "no address to ask")));
    };
    let mut ways = Ways::default();
    answers::over_https(https, &mut ways, report).await?;
    let line = dial::each(coap, &addresses, &ways, report).await?;
    answers::over_coap(coap, line.as_ref(), &mut ways, report).await?;
    answers::compare(coap, &ways, report)?;
    answers::well_known(coap, https, line.as_ref(), &ways, report).await?;
    answers::large(coap, line.as_ref(), report).await?;
    answers::round_trips(coap, line.as_ref(), report).await?;
    if let Some(line) = line {
        line.connection.close().await;
    }
    Ok(())
}

async fn look_up(job: &Job, report: &mut Report) -> Result<Option<Vec<SocketAddr>>, Failure> {
    const NAME: &str = "name";
    let host = &job.destination.host;
    let found = match coap_dial::look_up(job, Instant::now() + job.connect_timeout).await {
        Ok(found) => found,
        Err(failure) => {
            let cure = "Look at the spelling and at the records A and AAAA of DNS; --resolve \
                        HOST:PORT:ADDRESS goes on without them";
            report.add(Check::failed(NAME, &failure).cure(cure))?;
            return Ok(None);
        }
    };
    match job.addresses.of(host, found) {
        Ok(addresses) => {
            let all: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            let text = if all == [host.as_str()] {
                format!("{host} is an address")
            } else {
                format!("{host} is {}{}", all.join(", "), without(job, &addresses))
            };
            report.add(Check::ok(NAME, text).fact("addresses", all))?;
            Ok(Some(addresses))
        }
        Err(failure) => {
            let flag = if job.addresses.family == Family::Ipv6 { "-6" } else { "-4" };
            let cure = format!("Leave out {flag} to look at the addresses that there are");
            report.add(Check::failed(NAME, &failure).cure(cure))?;
            Ok(None)
        }
    }
}

/// Says which family a name has no address of.
fn without(job: &Job, addresses: &[SocketAddr]) -> &'static str {
    let is_name = job.destination.host.parse::<IpAddr>().is_err();
    let has = |is_of: fn(&SocketAddr) -> bool| addresses.iter().any(is_of);
    match (has(SocketAddr::is_ipv4), has(SocketAddr::is_ipv6)) {
        (true, false) if is_name && job.addresses.family == Family::Any => "; no IPv6 address",
        (false, true) if is_name && job.addresses.family == Family::Any => "; no IPv4 address",
        _ => "",
    }
}
