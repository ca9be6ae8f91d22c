//! `openssl s_client` and `s_server` at the other end, over loopback. Everything has a deadline.

use crate::certificates::{Authority, p256, rsa};
use crate::pair::client_config;
use lowband_transport::dtls::{CloseReason, Config, Endpoint, Event, Limits, Verification};
use openssl::pkey::{PKey, Private};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// A time far longer than any test here takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Runs an endpoint on one socket until `on_event` breaks.
pub(crate) fn drive<T>(
    endpoint: &mut Endpoint,
    socket: &Socket,
    mut on_event: impl FnMut(&mut Endpoint, Event) -> ControlFlow<T>,
) -> T {
    let end = Instant::now() + DEADLINE;
    let mut buffer = vec![0; 65_536];
    loop {
        while let Some(event) = endpoint.poll_event() {
            if let ControlFlow::Break(result) = on_event(endpoint, event) {
                flush(endpoint, socket);
                return result;
            }
        }
        flush(endpoint, socket);
        let now = Instant::now();
        assert!(now < end, "deadline; {:?}", endpoint.counters());
        let wake = endpoint.poll_timeout().map_or(end, |due| due.min(end));
        let wait = wake.saturating_duration_since(now).max(Duration::from_millis(1));
        socket.udp.set_read_timeout(Some(wait)).unwrap();
        if let Ok((length, peer)) = socket.udp.recv_from(&mut buffer)
            && !socket.loses(Way::In, &buffer[..length])
        {
            endpoint.handle_datagram(Instant::now(), peer, None, &buffer[..length]);
        }
        endpoint.handle_timeout(Instant::now());
    }
}

/// Drives the endpoint until `done` returns true.
pub(crate) fn until(endpoint: &mut Endpoint, socket: &Socket, done: impl Fn(&Endpoint) -> bool) {
    let end = Instant::now() + DEADLINE;
    let mut buffer = vec![0; 65_536];
    while !done(endpoint) {
        flush(endpoint, socket);
        let now = Instant::now();
        assert!(now < end, "deadline; {:?}", endpoint.counters());
        let wake = endpoint.poll_timeout().map_or(end, |due| due.min(end));
        let wait = wake.saturating_duration_since(now).max(Duration::from_millis(1));
        socket.udp.set_read_timeout(Some(wait)).unwrap();
        if let Ok((length, peer)) = socket.udp.recv_from(&mut buffer) {
            endpoint.handle_datagram(Instant::now(), peer, None, &buffer[..length]);
        }
        endpoint.handle_timeout(Instant::now());
    }
    flush(endpoint, socket);
}

pub(crate) fn flush(endpoint: &mut Endpoint, socket: &Socket) {
    while let Some(transmit) = endpoint.poll_transmit() {
        socket.sent.borrow_mut().push(transmit.bytes.clone());
        if !socket.loses(Way::Out, &transmit.bytes) {
            socket.udp.send_to(&transmit.bytes, transmit.peer).unwrap();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Number of a datagram (from 0) in that direction.
pub(crate) type Lost = Option<(Way, usize)>;

/// Decides whether a datagram is lost.
type Loses = Box<dyn FnMut(Way, &[u8]) -> bool>;

/// A socket that loses datagrams and remembers what was to be sent.
pub(crate) struct Socket {
    pub(crate) udp: UdpSocket,
    pub(crate) sent: RefCell<Vec<Vec<u8>>>,
    loses: RefCell<Loses>,
}

impl Socket {
    pub(crate) fn new(lost: Lost) -> Socket {
        let mut count = [0; 2];
        Socket::losing(Box::new(move |way, _| {
            count[way as usize] += 1;
            lost == Some((way, count[way as usize] - 1))
        }))
    }
    pub(crate) fn losing(loses: Loses) -> Socket {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        Socket { udp, sent: RefCell::default(), loses: RefCell::new(loses) }
    }
    fn loses(&self, way: Way, datagram: &[u8]) -> bool {
        (self.loses.borrow_mut())(way, datagram)
    }
}

/// A program that is ended even if the test fails.
pub(crate) struct Program(Child);

impl Program {
    pub(crate) fn openssl(arguments: &[&str]) -> Program {
        Program::start("openssl", arguments, Stdio::null())
    }
    pub(crate) fn start(program: &str, arguments: &[&str], stderr: Stdio) -> Program {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        Program(command.spawn().unwrap_or_else(|_| panic!("`make setup-test` installs {program}")))
    }
    /// Returns all output of the program once it has ended by itself, and its error output unless that is
    /// thrown away.
    pub(crate) fn end(&mut self) -> String {
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr.read_to_string(&mut text).unwrap();
        }
        text
    }
    pub(crate) fn input(&mut self) -> ChildStdin {
        self.0.stdin.take().unwrap()
    }
    /// Reads the output of the program from now on, up to and with the first line that `is_it` accepts.
    pub(crate) fn read_until(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        read_until(self.0.stdout.as_mut().unwrap(), is_it)
    }
    /// Reads the next bytes of the output.
    pub(crate) fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.stdout.as_mut().unwrap().read_exact(&mut bytes).unwrap();
        bytes
    }
    /// Reads the error output from now on, up to and with the first line that `is_it` accepts.
    pub(crate) fn read_errors_until(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        read_until(self.0.stderr.as_mut().unwrap(), is_it)
    }
}

fn read_until(output: impl Read, is_it: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    for line in BufReader::new(output).lines() {
        let line = line.unwrap();
        text += &format!("{line}\n");
        if is_it(&line) {
            break;
        }
    }
    text
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn server(key: &PKey<Private>, limits: Limits) -> Endpoint {
    let config = Config { server: Some(Authority::new().identity(key)), limits, ..Config::default() };
    Endpoint::new(config, [3; 32]).unwrap()
}

/// Lets `s_client` say a line, have it echoed and leave.
pub(crate) fn echo_with_s_client(key: &PKey<Private>, limits: Limits, arguments: &[&str], lost: Lost) {
    let mut endpoint = server(key, limits);
    let socket = Socket::new(lost);
    let address = socket.udp.local_addr().unwrap().to_string();
    let mut program = Program::openssl(
        &[&["s_client", "-dtls1_2", "-quiet", "-no_ign_eof", "-connect", &address], arguments].concat(),
    );
    let mut input = program.input();
    input.write_all(b"hello\n").unwrap();
    drive(&mut endpoint, &socket, |endpoint, event| match event {
        Event::Data { session, bytes } => {
            assert_eq!(bytes, b"hello\n");
            endpoint.send(Instant::now(), session, b"echo hello\n").unwrap();
            ControlFlow::Break(())
        }
        Event::Connected { .. } => ControlFlow::Continue(()),
        other => panic!("{other:?}"),
    });
    assert!(program.read_until(|line| line == "echo hello").contains("echo hello"));
    drop(input);
    let why = drive(&mut endpoint, &socket, |_, event| match event {
        Event::Closed { why, .. } => ControlFlow::Break(why),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(why, CloseReason::CloseNotify, "{arguments:?}");
}

#[test]
fn s_client_talks_over_each_suite() {
    let p256_suites = [
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0",
    ];
    for suite in p256_suites {
        echo_with_s_client(&p256(), Limits::default(), &["-cipher", suite], None);
    }
    for suite in ["ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"]
    {
        echo_with_s_client(&rsa(), Limits::default(), &["-cipher", suite], None);
    }
}

/// An attempt to forge a record with a tag of 8 bytes succeeds with a chance of 2^-64: their number
/// must be bounded.
#[test]
fn a_session_over_ccm_8_ends_after_65536_records_that_are_not_authentic_and_others_do_not() {
    const MOST: u64 = 1 << 16;
    let ccm_8 = "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0";
    for (suite, beside_a_handshake, ends) in
        [(ccm_8, false, true), (ccm_8, true, true), ("ECDHE-ECDSA-AES128-GCM-SHA256", false, false)]
    {
        let (mut endpoint, socket) = (server(&p256(), Limits::default()), Socket::new(None));
        let address = socket.udp.local_addr().unwrap().to_string();
        let mut program =
            Program::openssl(&["s_client", "-dtls1_2", "-quiet", "-cipher", suite, "-connect", &address]);
        program.input().write_all(b"hello\n").unwrap();
        let session = drive(&mut endpoint, &socket, |_, event| match event {
            Event::Data { session, .. } => ControlFlow::Break(session),
            _ => ControlFlow::Continue(()),
        });
        let peer = endpoint.peer(session).unwrap();
        if beside_a_handshake {
            begin_handshake(&mut endpoint, peer);
        }
        let forge = |endpoint: &mut Endpoint| {
            let record = [&[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 1, 0, 0, 30][..], &[7; 30]].concat();
            endpoint.handle_datagram(Instant::now(), peer, None, &record);
        };
        (1..MOST).for_each(|_| forge(&mut endpoint));
        assert_eq!((endpoint.session_ids(), endpoint.poll_event()), (vec![session], None));
        forge(&mut endpoint);
        let closed = Event::Closed { session, why: CloseReason::Forged };
        assert_eq!(endpoint.poll_event(), ends.then_some(closed), "{suite}");
        // Beside a handshake the records may belong to it.
        assert_eq!(endpoint.counters().records_forged, if beside_a_handshake { 0 } else { MOST });
        assert_eq!(endpoint.counters().sessions_forged, u64::from(ends));
    }
}

/// Lets a client of ours get as far as the server's flight, from that address.
fn begin_handshake(server: &mut Endpoint, from: SocketAddr) {
    let (now, its_address) = (Instant::now(), "198.51.100.1:8008".parse().unwrap());
    let mut client = Endpoint::new(client_config(), [9; 32]).unwrap();
    client.connect(now, its_address, "server.test").unwrap();
    for _ in 0..2 {
        let hello = client.poll_transmit().unwrap().bytes;
        server.handle_datagram(now, from, None, &hello);
        let answer = server.poll_transmit().unwrap().bytes;
        client.handle_datagram(now, its_address, None, &answer);
    }
    while server.poll_transmit().is_some() {}
    assert_eq!(server.counters().half_open, 1);
}

#[test]
fn s_client_talks_with_its_own_defaults_with_sni_and_over_a_small_mtu() {
    echo_with_s_client(&p256(), Limits::default(), &["-servername", "server.test"], None);
    echo_with_s_client(&rsa(), Limits { mtu: 300, ..Limits::default() }, &["-mtu", "300"], None);
}

#[test]
fn s_client_finishes_when_any_one_datagram_of_the_handshake_is_lost() {
    std::thread::scope(|scope| {
        for lost in [0, 1, 2].into_iter().flat_map(|number| [(Way::In, number), (Way::Out, number)]) {
            scope.spawn(move || echo_with_s_client(&p256(), Limits::default(), &[], Some(lost)));
        }
    });
}

/// Lets our client say a line to `s_server`, and `s_server` one to our client.
fn talk_to_s_server(
    name: &str,
    arguments: &[&str],
    verification: Verification,
    lost: Lost,
) -> Result<Vec<u8>, CloseReason> {
    let mut program =
        Program::openssl(&[&["s_server", "-dtls1_2", "-accept", "127.0.0.1:0"], arguments].concat());
    let mut input = program.input();
    let output = program.read_until(|line| line.starts_with("ACCEPT "));
    let server: SocketAddr = output.lines().last().unwrap()["ACCEPT ".len()..].parse().unwrap();
    let config = Config { client: Some(verification), ..Config::default() };
    let mut endpoint = Endpoint::new(config, [4; 32]).unwrap();
    let socket = Socket::new(lost);
    endpoint.connect(Instant::now(), server, name).unwrap();
    drive(&mut endpoint, &socket, |endpoint, event| match event {
        Event::Connected { session, .. } => {
            endpoint.send(Instant::now(), session, b"hello\n").unwrap();
            flush(endpoint, &socket);
            assert!(program.read_until(|line| line == "hello").ends_with("hello\n"));
            input.write_all(b"answer\n").unwrap();
            ControlFlow::Continue(())
        }
        Event::Data { bytes, session } => {
            endpoint.close(Instant::now(), session);
            ControlFlow::Break(Ok(bytes))
        }
        Event::Closed { why, .. } => ControlFlow::Break(Err(why)),
        other => panic!("nobody forges alerts here: {other:?}"),
    })
}

#[test]
fn our_client_talks_to_s_server_whatever_one_datagram_is_lost_and_verifies_it() {
    let authority = Authority::new();
    for (key, file) in [(p256(), "p256"), (rsa(), "rsa")] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("s_server-{file}-{}.pem", std::process::id()));
        let identity = authority.identity(&key);
        std::fs::write(&path, [&*identity.certificate_chain, &*identity.private_key].concat()).unwrap();
        let arguments = ["-cert", path.to_str().unwrap(), "-key", path.to_str().unwrap()];
        let answers = [
            talk_to_s_server(
                "server.test",
                &[&arguments[..], &["-listen"]].concat(),
                authority.roots(),
                None,
            ),
            talk_to_s_server("server.test", &arguments, authority.roots(), None),
            talk_to_s_server("other.test", &arguments, authority.roots(), None),
        ];
        // Without a cookie: our hello and our last flight, the server's flight and its last one.
        std::thread::scope(|scope| {
            for lost in [0, 1].into_iter().flat_map(|number| [(Way::In, number), (Way::Out, number)]) {
                let roots = authority.roots();
                scope.spawn(move || {
                    let answer = talk_to_s_server("server.test", &arguments, roots, Some(lost));
                    assert_eq!(answer.as_deref(), Ok(&b"answer\n"[..]), "{lost:?}");
                });
            }
        });
        std::fs::remove_file(&path).unwrap();
        let [with_cookie, without_cookie, wrong_name] = answers;
        assert_eq!(with_cookie.as_deref(), Ok(&b"answer\n"[..]));
        assert_eq!(without_cookie.as_deref(), Ok(&b"answer\n"[..]));
        assert!(matches!(wrong_name, Err(CloseReason::Certificate(_))), "{wrong_name:?}");
    }
}
