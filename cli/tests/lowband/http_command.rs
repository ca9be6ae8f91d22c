//! `lowband coap --http`: the same request over TCP.

use crate::certificate::Certificate;
use crate::command::{TemporaryFile, assert_quiet_success, run, status, stderr};
use crate::terminal::run_on_terminal;
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

/// A server that answers one request, and gives back its head and body.
struct HttpStub {
    port: u16,
    thread: JoinHandle<(String, Vec<u8>)>,
}

impl HttpStub {
    fn start(certificate: Option<&Certificate>, answer: &'static [u8]) -> HttpStub {
        let acceptor = certificate.map(acceptor);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            match acceptor {
                None => serve(tcp, answer),
                // A client that mistrusts the certificate ends the handshake.
                Some(acceptor) => acceptor.accept(tcp).map(|tls| serve(tls, answer)).unwrap_or_default(),
            }
        });
        HttpStub { port, thread }
    }

    fn seen(self) -> (String, Vec<u8>) {
        self.thread.join().unwrap()
    }
}

pub(crate) fn acceptor(certificate: &Certificate) -> SslAcceptor {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&X509::from_pem(&certificate.chain).unwrap()).unwrap();
    acceptor.set_private_key(&PKey::private_key_from_pem(&certificate.key).unwrap()).unwrap();
    acceptor.build()
}

fn serve(stream: impl Read + Write, answer: &[u8]) -> (String, Vec<u8>) {
    serve_by_head(stream, |_| answer.to_vec())
}

/// Answers one request as its head, in lower case, asks for.
pub(crate) fn serve_by_head(
    stream: impl Read + Write,
    answer: impl Fn(&str) -> Vec<u8>,
) -> (String, Vec<u8>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).unwrap();
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    stream.get_mut().write_all(&answer(&head)).unwrap();
    (head, body)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nContent-Length: 1\r\n\r\n\xa0";

#[test]
fn http_is_spoken_in_the_clear_to_http_urls() {
    let stub = HttpStub::start(None, OK);
    let url = format!("http://localhost:{}/_matrix/client/versions?a=b", stub.port);
    let authority = format!("host: localhost:{}\r\n", stub.port);
    let output = run(&["coap", "--http", "-HAuthorization: secret", "-HX-Custom: y", "-d", "\u{1}", &url]);
    assert_quiet_success(&output);
    assert_eq!(output.stdout, b"\xa0");
    let (head, body) = stub.seen();
    assert!(head.starts_with("post /_matrix/client/versions?a=b http/1.1\r\n"), "{head}");
    for header in [
        "accept: application/cbor\r\n",
        "content-type: application/cbor\r\n",
        "authorization: bearer secret\r\n",
        "x-custom: y\r\n",
        &authority,
    ] {
        assert!(head.contains(header), "{header} is missing in: {head}");
    }
    assert_eq!(body, b"\x01");
}

#[test]
fn json_is_cbor_over_http_too() {
    let stub = HttpStub::start(None, OK);
    let url = format!("http://localhost:{}/any", stub.port);
    let output = run(&["coap", "--http", "--json", "{\"type\":1}", &url]);
    assert_quiet_success(&output);
    assert_eq!(output.stdout, b"{}\n");
    let (head, body) = stub.seen();
    assert!(head.contains("content-type: application/cbor\r\n"), "{head}");
    assert_eq!(body, b"\xa1\x02\x01");

    let stub = HttpStub::start(
        None,
        b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    );
    let url = format!("http://localhost:{}/any", stub.port);
    let (status, shown, _) = run_on_terminal(&["coap", "--http", &url], &[("NO_COLOR", "1")]);
    assert_eq!((status, shown.as_str()), (22, "{\n  \"a\": 1\n}\n"));
    stub.seen();
}

#[test]
fn headers_given_replace_those_that_would_be_sent() {
    let stub = HttpStub::start(None, OK);
    let url = format!("http://localhost:{}/any", stub.port);
    assert_quiet_success(&run(&["coap", "--http", "-HAccept: application/json", "-HUser-Agent:", &url]));
    let (head, _) = stub.seen();
    assert!(head.contains("accept: application/json\r\n") && !head.contains("user-agent"), "{head}");
}

#[test]
fn https_is_verified() {
    let certificate = Certificate::for_loopback();
    let ca = TemporaryFile::with("http-ca.pem", &certificate.ca);
    let request = |arguments: &[&str]| {
        let stub = HttpStub::start(Some(&certificate), OK);
        let url = format!("https://localhost:{}/any", stub.port);
        let output = run(&[&["coap", "--http"], arguments, &[&url]].concat());
        (output, stub.seen().0)
    };
    for arguments in [&["--cacert", ca.path()][..], &["-k"]] {
        let (output, head) = request(arguments);
        assert_quiet_success(&output);
        assert!(head.starts_with("get /any http/1.1\r\n"), "{head}");
    }
    let (output, head) = request(&[]);
    assert_eq!(status(&output), 60);
    assert!(stderr(&output).contains("--cacert") && head.is_empty(), "{}", stderr(&output));
}

#[test]
fn an_http_error_is_status_22_with_its_body_and_head() {
    let stub = HttpStub::start(None, b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nX: y\r\n\r\nwhy");
    let format = "|%{code} %{http_code} %{method} %{size_download} %{exitcode} %{datagrams_in}";
    let output = run(&["coap", "--http", "-i", "-w", format, &format!("http://127.0.0.1:{}/any", stub.port)]);
    assert_eq!(status(&output), 22);
    let expected = b"HTTP/1.1 404 Not Found\ncontent-length: 3\nx: y\n\nwhy|404 404 GET 3 22 0";
    assert_eq!(output.stdout, expected);
    assert!(stderr(&output).contains("404"));
    stub.seen();
}

#[test]
fn verbose_tells_the_time_of_the_request_and_nothing_that_only_coap_has() {
    let stub = HttpStub::start(None, OK);
    let output = run(&["coap", "--http", "-v", &format!("http://127.0.0.1:{}/any", stub.port)]);
    let told = stderr(&output);
    let times: Vec<_> = told.lines().filter_map(|line| line.strip_prefix("* answered in ")).collect();
    assert!(times.len() == 1 && times[0].strip_suffix(" s").unwrap().parse::<f64>().is_ok(), "{told}");
    assert!(!told.contains("* path"), "{told}");
    stub.seen();
}

#[test]
fn an_answer_cut_off_is_status_56() {
    let stub = HttpStub::start(None, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nx");
    let output = run(&["coap", "--http", &format!("http://127.0.0.1:{}/any", stub.port)]);
    assert_eq!((status(&output), output.stdout.as_slice()), (56, &b""[..]));
    stub.seen();
}

#[test]
fn a_closed_tcp_port_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The port of a connection's own end is taken, and nobody listens there.
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let url = format!("https://{}/any", connection.local_addr().unwrap());
    let output = run(&["coap", "--http", "-k", &url]);
    assert_eq!(status(&output), 7, "{}", stderr(&output));
}
