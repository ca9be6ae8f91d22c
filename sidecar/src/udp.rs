//! The UDP socket, for IPv4 and IPv6 together: batches in, batches out, sent from the address that the client
//! used.
//!
//! The socket decides nothing: the caller counts what cannot be sent. Addresses are canonical on the caller's
//! side: an IPv4 peer is an IPv4 address, whatever form the socket gives it.

use lowband_system::fragmentation;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use watch::watch;

mod batch;
mod watch;

pub use batch::{Batch, Outbox};

/// Bytes of the largest UDP payload; with GRO the kernel hands out up to this much at once.
const MAX_DATAGRAM: usize = 65_535;
/// How long to wait for room where the system cannot report it.
const BLIND_WAIT: Duration = Duration::from_millis(1);

/// The outcome of sending a batch.
#[derive(Debug)]
pub enum Sent {
    /// The kernel has all of it.
    Done,
    /// The socket's buffer is full: try again when it is writable.
    Blocked,
    /// The datagram is larger than any may be (EMSGSIZE); one that is only larger than the path takes is sent
    /// in pieces. Those of a batch are not: they may be sent singly.
    TooLarge,
    /// Any other error, e.g. no route: the datagram is lost, as datagrams may be. A batch may also have met a
    /// system or a device that does not cut it: its datagrams may be sent singly.
    Failed(io::Error),
}

/// Binds a socket; `[::]` accepts IPv4 as well, and becomes `0.0.0.0` where IPv6 is off.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    match bind_exactly(address) {
        Err(error) if is_any_v6(address) && has_no_ipv6(&error) => {
            bind_exactly(SocketAddr::from(([0, 0, 0, 0], address.port())))
        }
        other => other,
    }
}

fn bind_exactly(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket.into())
}

pub(crate) fn is_any_v6(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

pub(crate) fn has_no_ipv6(error: &io::Error) -> bool {
    // NOPROTOOPT comes from kernels built without IPv6, the other two from `disable_ipv6`.
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL | Errno::NOPROTOOPT))
}

/// The socket on tokio.
///
/// The socket is watched for datagrams alone. Watched for room as well, it would report room each time a
/// datagram has left its buffer, and wake the process once more for everything it sends.
#[derive(Debug)]
pub struct Socket {
    io: AsyncFd<Arc<UdpSocket>>,
    /// A second descriptor of the same socket, to be watched for room. It is made at the start: later there
    /// may be no descriptor left.
    room: Arc<UdpSocket>,
    state: UdpSocketState,
    is_ipv6: bool,
    buffer: Vec<u8>,
}

impl Socket {
    /// Takes a bound socket and asks for buffers of `buffer` bytes in each direction.
    pub fn new(socket: UdpSocket, buffer: usize) -> io::Result<Socket> {
        socket.set_nonblocking(true)?;
        let is_ipv6 = socket.local_addr()?.is_ipv6();
        let room = Arc::new(socket.try_clone()?);
        let state = UdpSocketState::new((&socket).into())?;
        // After quinn-udp, which sets the don't-fragment bit.
        fragmentation::allow(&socket, is_ipv6);
        // The system may grant less; `buffer_sizes` reports the result.
        let _ = state.set_recv_buffer_size((&socket).into(), buffer);
        let _ = state.set_send_buffer_size((&socket).into(), buffer);
        let io = watch(Arc::new(socket), Interest::READABLE)?;
        Ok(Socket { io, room, state, is_ipv6, buffer: vec![0; MAX_DATAGRAM * BATCH_SIZE] })
    }

    /// Returns the address that the socket is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Returns the bytes of the receive and the send buffer as granted (Linux counts double).
    pub fn buffer_sizes(&self) -> io::Result<(usize, usize)> {
        Ok((
            self.state.recv_buffer_size(self.socket().into())?,
            self.state.send_buffer_size(self.socket().into())?,
        ))
    }

    /// Waits until a datagram may have arrived.
    pub async fn readable(&self) -> io::Result<()> {
        self.io.readable().await.map(drop)
    }

    /// Waits until a datagram may be sent again. The second descriptor is watched only while a caller waits;
    /// a system that has nothing left to watch it with (ENOSPC, ENOMEM of epoll_ctl) costs a millisecond, and
    /// never a session.
    pub async fn writable(&self) {
        let watched = watch(Arc::clone(&self.room), Interest::WRITABLE);
        let is_told = match &watched {
            Ok(room) => room.writable().await.is_ok(),
            Err(_) => false,
        };
        if !is_told {
            tokio::time::sleep(BLIND_WAIT).await;
        }
    }

    fn socket(&self) -> &UdpSocket {
        self.io.get_ref()
    }

    /// Hands over one batch, datagram by datagram, as `(peer, address that the client used, bytes)`;
    /// datagrams for which `waits` is false come first. An empty batch is `WouldBlock`. Returns whether the
    /// batch was full, so that more datagrams may be waiting.
    pub fn receive(
        &mut self,
        waits: impl Fn(&[u8]) -> bool,
        mut each: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> io::Result<bool> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let count = {
            let mut slices: Vec<IoSliceMut<'_>> =
                self.buffer.chunks_mut(MAX_DATAGRAM).map(IoSliceMut::new).collect();
            let mut count = 0;
            let emptied = self.io.try_io(Interest::READABLE, |socket| {
                count = self.state.recv((&**socket).into(), &mut slices, &mut metas)?;
                // A batch that is not full has emptied the socket: reporting that here saves a call that
                // would find nothing.
                if count < BATCH_SIZE { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            if count == 0 {
                emptied?;
            }
            count
        };
        hand_over(metas.get(..count).unwrap_or_default(), &self.buffer, waits, &mut each);
        Ok(count == BATCH_SIZE)
    }

    /// Returns how many datagrams a batch may have: 1 where the system does not cut batches, or has refused
    /// one.
    pub fn most_at_once(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends a batch, all of it or nothing.
    pub fn send(&self, batch: &Batch<'_>) -> Sent {
        if batch.peer.port() == 0 {
            // Nobody can be answered there (RFC 768). The system's refusal would be taken for one of batches.
            return Sent::Failed(io::ErrorKind::InvalidInput.into());
        }
        let datagrams = quinn_udp::Transmit {
            destination: self.as_socket_has_it(batch.peer),
            ecn: None,
            contents: batch.bytes,
            segment_size: (batch.count() > 1).then_some(batch.each),
            src_ip: batch.local.filter(|ip| !ip.is_unspecified()),
        };
        match self.state.try_send(self.socket().into(), &datagrams) {
            Ok(()) => Sent::Done,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Blocked,
            Err(error) if quinn_udp::is_msg_size_err(&error) => Sent::TooLarge,
            Err(error) => Sent::Failed(error),
        }
    }

    fn as_socket_has_it(&self, peer: SocketAddr) -> SocketAddr {
        match peer {
            SocketAddr::V4(v4) if self.is_ipv6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
            other => other,
        }
    }
}

/// Hands over what has been received; each entry of `metas` has its piece of the buffer, which may hold
/// several datagrams of one length.
fn hand_over(
    metas: &[RecvMeta],
    buffer: &[u8],
    waits: impl Fn(&[u8]) -> bool,
    each: &mut impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
) {
    for is_their_turn in [false, true] {
        for (meta, slot) in metas.iter().zip(buffer.chunks(MAX_DATAGRAM)) {
            let peer = canonical(meta.addr);
            let local = meta.dst_ip.map(|ip| ip.to_canonical());
            let bytes = slot.get(..meta.len).unwrap_or_default();
            let empty = bytes.is_empty().then_some(bytes);
            for datagram in bytes.chunks(meta.stride.max(1)).chain(empty) {
                if waits(datagram) == is_their_turn {
                    each(peer, local, datagram);
                }
            }
        }
    }
}

/// Turns an IPv4-mapped address into the IPv4 address; any other address keeps its scope.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, address.port())),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Resource, Rlimit};

    fn loopback_pair(listen: &str, from: &str) -> (Socket, UdpSocket) {
        let socket = Socket::new(bind(listen.parse().unwrap()).unwrap(), 1 << 20).unwrap();
        let peer = UdpSocket::bind(from).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (socket, peer)
    }

    fn one(peer: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) -> Batch<'_> {
        Batch { peer, local, bytes, each: bytes.len() }
    }

    async fn next(socket: &mut Socket) -> Vec<(SocketAddr, Option<IpAddr>, Vec<u8>)> {
        let mut got = Vec::new();
        while got.is_empty() {
            socket.readable().await.unwrap();
            let _ = socket.receive(
                |bytes| bytes == b"waits",
                |peer, local, bytes| got.push((peer, local, bytes.to_vec())),
            );
        }
        got
    }

    #[tokio::test]
    async fn an_ipv4_peer_is_answered_by_the_wildcard_socket_from_the_address_it_asked() {
        let (mut socket, peer) = loopback_pair("[::]:0", "127.0.0.1:0");
        let port = socket.local_addr().unwrap().port();
        peer.send_to(b"hello", ("127.0.0.2", port)).unwrap();
        let [(from, local, bytes)] = next(&mut socket).await.try_into().unwrap();
        assert_eq!((from, bytes.as_slice()), (peer.local_addr().unwrap(), &b"hello"[..]));
        assert_eq!(local, Some("127.0.0.2".parse().unwrap()));
        assert!(matches!(socket.send(&one(from, local, &bytes)), Sent::Done));
        let mut buffer = [0; 16];
        let (len, answered_from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((len, answered_from), (5, SocketAddr::from(([127, 0, 0, 2], port))));
    }

    #[tokio::test]
    async fn the_socket_is_not_woken_by_what_it_has_sent() {
        let (mut socket, peer) = loopback_pair("127.0.0.1:0", "127.0.0.1:0");
        let to = peer.local_addr().unwrap();
        let mut buffer = [0; 16];
        peer.send_to(b"one", socket.local_addr().unwrap()).unwrap();
        assert_eq!(next(&mut socket).await.len(), 1);
        for _ in 0..3 {
            assert!(matches!(socket.send(&one(to, None, b"answer")), Sent::Done));
            assert_eq!(peer.recv(&mut buffer).unwrap(), 6);
            // The runtime checks its descriptors before it lets the timer expire.
            let woken = tokio::time::timeout(
                Duration::from_millis(5),
                socket.io.ready(Interest::READABLE | Interest::WRITABLE),
            );
            assert!(woken.await.is_err(), "woken by room in the buffer");
        }
        socket.writable().await;
    }

    #[test]
    fn room_is_waited_for_without_another_descriptor() {
        const NAME: &str = "udp::tests::room_is_waited_for_without_another_descriptor";
        const CHILD: &str = "LOWBAND_TEST_CHILD";
        // The limit applies to a whole process, so this test runs in one of its own.
        if std::env::var_os(CHILD).is_none() {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            assert!(child.args(["--exact", NAME]).env(CHILD, "1").status().unwrap().success());
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (socket, _peer) = loopback_pair("127.0.0.1:0", "127.0.0.1:0");
            let limit = rustix::process::getrlimit(Resource::Nofile);
            rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
            assert!(UdpSocket::bind("127.0.0.1:0").is_err());
            socket.writable().await;
        });
    }

    /// A raw socket sees the headers of what arrives on loopback; it needs a network of its own, in which
    /// this test is root.
    #[test]
    fn routers_may_fragment_what_is_sent() {
        const INSIDE: &str = "LOWBAND_TEST_IN_A_NETWORK_OF_ITS_OWN";
        if std::env::var_os(INSIDE).is_some() {
            return tokio::runtime::Runtime::new().unwrap().block_on(see_that_routers_may_fragment());
        }
        let this = std::thread::current().name().unwrap().to_owned();
        let status = std::process::Command::new("unshare")
            .args(["--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &this])
            .env(INSIDE, "1")
            .status();
        assert!(status.expect("unshare is a part of util-linux").success());
    }

    async fn see_that_routers_may_fragment() {
        for (listen, from) in [("0.0.0.0:0", "127.0.0.1:0"), ("[::]:0", "127.0.0.1:0")] {
            let (socket, peer) = loopback_pair(listen, from);
            let raw = socket2::Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).unwrap();
            raw.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut raw = raw;
            let datagram = [7; 1232];
            let sent = socket.send(&one(peer.local_addr().unwrap(), None, &datagram));
            assert!(matches!(sent, Sent::Done));
            let mut packet = [0; 2000];
            let length = io::Read::read(&mut raw, &mut packet).unwrap();
            assert_eq!(length, 20 + 8 + 1232);
            assert_eq!(packet[6] & 0x40, 0, "the don't-fragment bit (RFC 791 section 3.1)");
        }
    }

    #[tokio::test]
    async fn a_datagram_larger_than_any_may_be_is_told_apart() {
        let (socket, peer) = loopback_pair("127.0.0.1:0", "127.0.0.1:0");
        let datagram = [0; 65_508];
        let sent = socket.send(&one(peer.local_addr().unwrap(), None, &datagram));
        assert!(matches!(sent, Sent::TooLarge));
    }

    /// Returns the datagrams of each piece in which the kernel hands out what has come.
    async fn pieces(socket: &mut Socket) -> Vec<usize> {
        socket.readable().await.unwrap();
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut slices: Vec<_> = socket.buffer.chunks_mut(MAX_DATAGRAM).map(IoSliceMut::new).collect();
        let count = socket.state.recv((&**socket.io.get_ref()).into(), &mut slices, &mut metas).unwrap();
        metas[..count].iter().map(|meta| meta.len.div_ceil(meta.stride)).collect()
    }

    #[tokio::test]
    async fn a_batch_is_one_call_and_arrives_as_its_datagrams() {
        for (listen, to) in
            [("127.0.0.1:0", "127.0.0.1:0"), ("[::]:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")]
        {
            let (socket, _) = loopback_pair(listen, to);
            let (mut receiver, _) = loopback_pair(to, to);
            let bytes: Vec<u8> = (0..15_000_u32).map(|at| (at / 1100) as u8).collect();
            let peer = receiver.local_addr().unwrap();
            let batch = Batch { peer, local: None, bytes: &bytes, each: 1100 };
            assert!(socket.most_at_once() >= batch.count());
            // Loopback does not put together what was sent singly.
            assert!(matches!(socket.send(&batch), Sent::Done));
            assert_eq!(pieces(&mut receiver).await, [14]);
            assert!(matches!(socket.send(&batch), Sent::Done));
            let got: Vec<_> = next(&mut receiver).await.into_iter().map(|(_, _, bytes)| bytes).collect();
            assert_eq!(got, bytes.chunks(1100).map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }

    /// Runs in a network of its own, whose device takes less than a datagram of a batch.
    #[test]
    fn a_batch_is_refused_where_its_datagrams_go_in_pieces() {
        const INSIDE: &str = "LOWBAND_TEST_IN_A_NETWORK_OF_SHORT_PACKETS";
        if std::env::var_os(INSIDE).is_some() {
            return tokio::runtime::Runtime::new().unwrap().block_on(see_that_singly_all_arrive());
        }
        let this = std::thread::current().name().unwrap().to_owned();
        let status = std::process::Command::new("unshare")
            .args(["--map-root-user", "--net", "sh", "-c"])
            .arg("ip link set lo mtu 1000 up && exec \"$0\" \"$@\"")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &this])
            .env(INSIDE, "1")
            .status();
        assert!(status.expect("unshare is a part of util-linux").success());
    }

    async fn see_that_singly_all_arrive() {
        let (socket, peer) = loopback_pair("127.0.0.1:0", "127.0.0.1:0");
        let bytes = [7; 2 * 1100];
        let batch = Batch { peer: peer.local_addr().unwrap(), local: None, bytes: &bytes, each: 1100 };
        assert!(matches!(socket.send(&batch), Sent::TooLarge | Sent::Failed(_)));
        let mut buffer = [0; 2048];
        for datagram in batch.singly() {
            assert!(matches!(socket.send(&datagram), Sent::Done));
            assert_eq!(peer.recv(&mut buffer).unwrap(), 1100);
        }
    }

    #[tokio::test]
    async fn what_claims_to_come_from_port_0_does_not_end_the_batches_for_all() {
        let (socket, _) = loopback_pair("127.0.0.1:0", "127.0.0.1:0");
        let before = socket.most_at_once();
        assert!(before > 1);
        let nowhere = "127.0.0.1:0".parse().unwrap();
        assert!(matches!(socket.send(&one(nowhere, None, b"answer")), Sent::Failed(_)));
        assert_eq!(socket.most_at_once(), before);
    }

    #[test]
    fn of_a_batch_what_waits_comes_last() {
        // The kernel may put datagrams of one peer together: the last of them may be shorter than the others.
        let received = [(&b"waits"[..], 5), (b"", 0), (b"first", 5), (b"1wait2waitsix", 5), (b"waits", 5)];
        let mut buffer = vec![0; MAX_DATAGRAM * received.len()];
        let metas: Vec<_> = received
            .iter()
            .zip(buffer.chunks_mut(MAX_DATAGRAM))
            .map(|((bytes, stride), slot)| {
                slot[..bytes.len()].copy_from_slice(bytes);
                let mut meta = RecvMeta::default();
                (meta.len, meta.stride) = (bytes.len(), *stride);
                meta
            })
            .collect();
        let mut got = Vec::new();
        let waits = |bytes: &[u8]| bytes.ends_with(b"wait") || bytes == b"waits";
        hand_over(&metas, &buffer, waits, &mut |_, _, bytes| got.push(bytes.to_vec()));
        assert_eq!(got, [&b""[..], b"first", b"six", b"waits", b"1wait", b"2wait", b"waits"]);
    }

    #[tokio::test]
    async fn a_batch_keeps_the_borders_of_datagrams_the_empty_one_included() {
        let (mut socket, peer) = loopback_pair("127.0.0.1:0", "127.0.0.1:0");
        let to = socket.local_addr().unwrap();
        for bytes in [&b"one"[..], b"", b"three"] {
            peer.send_to(bytes, to).unwrap();
        }
        let mut got = Vec::new();
        while got.len() < 3 {
            got.extend(next(&mut socket).await.into_iter().map(|(_, _, bytes)| bytes));
        }
        assert_eq!(got, [&b"one"[..], b"", b"three"]);
    }
}
