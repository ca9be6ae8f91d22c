#!/usr/bin/env bash
# Versions: GnuTLS 3.7.9 (Debian 12, libgnutls30 3.7.9-2+deb12u7), pyOpenSSL 26.4.0 with cryptography 50.0.2 (PyPI,
# OpenSSL 4.0.3 inside).
#
# Question: a server answers the first ClientHello of DTLS 1.2 with a plaintext fatal alert (handshake_failure). Which
# clients give up at once?
#
# Guess: all of them, as over TLS.
#
# What it does: a GnuTLS client with a blocking socket, which gnutls-cli behaves like, loses the first alert that comes
# while it waits for the answer to its hello, and sends the hello again after 1 s. The second alert ends the handshake
# (FATAL_ALERT_RECEIVED after 1.1 s), but only if its record has a number of its own: with the number of the first it is
# dropped as a replay, like all later ones, and the client goes on until its time limit (60 s by default; gnutls-cli
# took 63 s) and says "The operation timed out". With a non-blocking socket the first alert is heard as it comes. OpenSSL
# 3.0 and 4.0.3, pion v3.1.15, mbedTLS 2.28 and Scandium 3.14.0 end at once. gnutls-cli lost an alert in answer to the
# second hello, with the cookie, in the same way, and a close_notify too; behind the server's flight it heard the alert.
#
# What follows: a server that refuses a hello without keeping state must not write a fixed record number into its
# alert; it copies the hello's, as it does for a HelloVerifyRequest. Then GnuTLS users read the reason after one second,
# not "timed out" after a minute. The log line of a refusal may well come twice for each of them. An alert is no way to
# say "try again": to GnuTLS it may be just that, to all the others it is the end.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages pyOpenSSL==26.4.0 cryptography==50.0.2
debian_packages libgnutls30=3.7.9-2+deb12u7

cat >"$dir/gnutls.py" <<'PY'
import ctypes, socket, sys, time

port, library, blocking = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "blocking"
tls = ctypes.CDLL(library)
tls.gnutls_check_version.restype = tls.gnutls_strerror.restype = ctypes.c_char_p
print("GnuTLS", tls.gnutls_check_version(None).decode())
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.connect(("127.0.0.1", port))
peer.setblocking(blocking)
session, credentials = ctypes.c_void_p(), ctypes.c_void_p()
CLIENT, DATAGRAM, NONBLOCK, CERTIFICATE = 1 << 1, 1 << 2, 1 << 3, 1
tls.gnutls_init(ctypes.byref(session), CLIENT | DATAGRAM | (0 if blocking else NONBLOCK))
tls.gnutls_set_default_priority(session)
tls.gnutls_certificate_allocate_credentials(ctypes.byref(credentials))
tls.gnutls_credentials_set(session, CERTIFICATE, credentials)
tls.gnutls_transport_set_int2(session, peer.fileno(), peer.fileno())
tls.gnutls_dtls_set_timeouts(session, 1000, 6000)  # 60,000 by default
while True:
    code = tls.gnutls_handshake(session)
    if code == 0 or tls.gnutls_error_is_fatal(code):
        break
    time.sleep(0.01)
print(tls.gnutls_strerror(code).decode())
PY

cat >"$dir/openssl.py" <<'PY'
import socket, sys
from OpenSSL import SSL

print(SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode())
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.connect(("127.0.0.1", int(sys.argv[1])))
peer.settimeout(10)
session = SSL.Connection(SSL.Context(SSL.DTLS_CLIENT_METHOD), None)
session.set_connect_state()
try:
    session.do_handshake()
except SSL.WantReadError:
    peer.send(session.bio_read(65536))
session.bio_write(peer.recv(65536))
try:
    session.do_handshake()
except SSL.Error as error:
    print(error)
PY

# Answers each hello with a fatal handshake_failure (40), in a record with the hello's number or always with number 0.
cat >"$dir/server.py" <<'PY'
import socket, sys, time

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
server.settimeout(60)
print(server.getsockname()[1], flush=True)
while True:
    datagram, peer = server.recvfrom(65536)
    if datagram[0] != 22:
        continue
    print("hello", flush=True)
    time.sleep(0.2)  # a link, not loopback
    number = datagram[3:11] if sys.argv[1] == "copied" else bytes(8)
    server.sendto(bytes([21]) + b"\xfe\xfd" + number + b"\x00\x02\x02\x28", peer)
PY

refuse() { # refuse NAME NUMBER HELLOS WORDS CLIENT...: so many hellos are seen, and the client says so
  local name=$1 number=$2 hellos=$3 words=$4 client=$5
  shift 5
  start "$dir/$name.server" python3 "$dir/server.py" "$number"
  "$dir/venv/bin/python" "$dir/$client" "$(first_line "$dir/$name.server")" "$@" >"$dir/$name.client" 2>&1
  seen "$words" "$dir/$name.client"
  [ "$(grep -c hello "$dir/$name.server")" -eq "$hellos" ] || seen "$name: $hellos hellos" "$dir/$name.server"
}

library=$(ls "$debian_libraries"/libgnutls.so.30.*)
refuse openssl copied 1 "handshake failure" openssl.py
refuse non-blocking copied 1 "A TLS fatal alert has been received." gnutls.py "$library" non-blocking
refuse copied copied 2 "A TLS fatal alert has been received." gnutls.py "$library" blocking
refuse fixed fixed 3 "The operation timed out" gnutls.py "$library" blocking
seen "GnuTLS 3.7.9" "$dir/fixed.client"
echo "as described"
