//! `--http`: the request over HTTP/1.1 with CBOR, to see what low bandwidth saves and whether the fallback
//! works.

use super::answer::{Answer, Form};
use super::dial::{NotThis, each_address, in_time};
use super::verbose::without_secrets;
use super::write_out::Measures;
use super::{Job, Part, trust};
use crate::exit::{Exit, Failure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper_util::rt::TokioIo;
use lowband_client::key_log::KeyLogFile;
use lowband_client::{Limits, Settings, Verification, tls};
use lowband_wire::coap::content_format::APPLICATION_CBOR;
use openssl::error::ErrorStack;
use openssl::ssl::Ssl;
use openssl::x509::X509VerifyResult;
use std::fmt::{Display, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

type HttpRequest = Request<Full<Bytes>>;

/// Asks for one URL on a connection of its own.
pub(crate) async fn exchange(job: &Job, part: &Part, measures: &mut Measures) -> Result<Answer, Failure> {
    let request = request(job, &part.target)?;
    let begin = Instant::now();
    let stream = each_address(job, async |server, time| connect(job, server, time).await).await?;
    measures.connect = begin.elapsed();
    let first = format!("{} {} HTTP/1.1", request.method(), without_secrets(&part.target));
    let shown = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("?")));
    job.verbose.request(first, shown, measures.body);
    let begin = Instant::now();
    let answer = in_time(job.deadline, send(stream, request)).await?;
    measures.answered = begin.elapsed();
    answer
}

fn request(job: &Job, target: &str) -> Result<HttpRequest, Failure> {
    let (destination, body) = (&job.destination, job.body.clone());
    let mut request = Request::builder().method(job.method.name()).uri(target);
    let defaults = [
        (HOST, Some(destination.authority.as_str())),
        (USER_AGENT, Some(concat!("lowband/", env!("CARGO_PKG_VERSION")))),
        (ACCEPT, Some(APPLICATION_CBOR)),
        (CONTENT_TYPE, body.as_ref().map(|_| APPLICATION_CBOR)),
    ];
    for (name, value) in defaults {
        if let (Some(value), None) = (value, job.headers.get(name.as_str())) {
            request = request.header(name, value);
        }
    }
    for (name, value) in job.headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(name, header_value(name, value)?);
    }
    request.body(Full::new(Bytes::from(body.unwrap_or_default()))).map_err(|error| {
        Failure::new(Exit::Usage, format!("a header or the URL cannot be sent over HTTP: {error}"))
    })
}

/// Adds the scheme to a bare access token, as CoAP takes it, and keeps every token out of hyper's traces.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, Failure> {
    let is_token = HeaderName::try_from(name).is_ok_and(|name| name == AUTHORIZATION);
    let value = if is_token && !value.contains(' ') { format!("Bearer {value}") } else { value.to_owned() };
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        Failure::new(Exit::Usage, format!("the value of the header {name} cannot be sent over HTTP"))
    })?;
    value.set_sensitive(is_token);
    Ok(value)
}

/// A connection of TCP, or of TLS over TCP.
trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl Stream for TcpStream {}
impl Stream for SslStream<TcpStream> {}

async fn connect(job: &Job, server: SocketAddr, time: Duration) -> Result<Box<dyn Stream>, NotThis> {
    let connecting = async {
        let tcp = TcpStream::connect(server).await.map_err(|error| {
            NotThis::Next(Failure::new(Exit::Connect, format!("TCP to {server}: {error}")))
        })?;
        // Best effort: the option saves waiting, and nothing depends on it.
        let _ = tcp.set_nodelay(true);
        if job.destination.clear_text {
            return Ok(Box::new(tcp) as Box<dyn Stream>);
        }
        let tls = secure(tcp, &job.destination.host, &job.verification).await.map_err(NotThis::Never)?;
        job.verbose.note(format_args!("connected by {}", tls.ssl().version_str()));
        Ok(Box::new(tls) as Box<dyn Stream>)
    };
    match tokio::time::timeout(time, connecting).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(NotThis::Next(Failure::new(
            Exit::Timeout,
            format!("no answer from TCP {server} within {time:.1?}"),
        ))),
    }
}

async fn secure(
    tcp: TcpStream,
    host: &str,
    verification: &Verification,
) -> Result<SslStream<TcpStream>, Failure> {
    let key_log = Settings::from_environment().key_log.as_deref().map(KeyLogFile::open).transpose();
    let key_log = key_log.map_err(|error| Failure::new(Exit::CaFile, error))?;
    let ssl = session(host, verification, key_log).map_err(|error| Failure::new(Exit::CaFile, error))?;
    let mut stream = SslStream::new(ssl, tcp).map_err(|error| Failure::new(Exit::Handshake, error))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => Err(match stream.ssl().verify_result() {
            X509VerifyResult::OK => Failure::new(Exit::Handshake, format!("TLS handshake failed: {error}")),
            why => trust::not_trusted(host, why.into()),
        }),
    }
}

fn session(host: &str, verification: &Verification, key_log: Option<KeyLogFile>) -> Result<Ssl, ErrorStack> {
    let mut configuration = tls::connector(verification, key_log)?.build().configure()?;
    tls::checked(&mut configuration, verification);
    configuration.into_ssl(host)
}

async fn send(stream: Box<dyn Stream>, request: HttpRequest) -> Result<Answer, Failure> {
    let broken = |error: &dyn Display| Failure::new(Exit::Transfer, format!("HTTP: {error}"));
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // The task ends with the sender; an error of the connection is an error of the request, too.
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.map_err(|error| broken(&error))?.into_parts();
    let body =
        Limited::new(body, Limits::default().download).collect().await.map_err(|error| broken(&error))?;
    let mut head = format!("{:?} {}\n", parts.version, parts.status);
    for (name, value) in &parts.headers {
        // What a server says may go to a terminal, and must not work it.
        let value = String::from_utf8_lossy(value.as_bytes()).replace(char::is_control, "\u{fffd}");
        let _infallible = writeln!(head, "{name}: {value}");
    }
    head.push('\n');
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let ask_again = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let is_error = parts.status.is_client_error() || parts.status.is_server_error();
    Ok(Answer {
        head,
        code: parts.status.as_str().to_owned(),
        http_code: parts.status.as_u16(),
        ask_again: ask_again.map(Duration::from_secs),
        form: Form::of_media_type(media_type),
        error: is_error.then(|| format!("HTTP {}", parts.status)),
        body: body.to_bytes().to_vec(),
    })
}
