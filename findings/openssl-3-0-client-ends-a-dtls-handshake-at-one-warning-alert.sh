#!/usr/bin/env bash
# Versions: openssl and libssl3 3.0.22-1~deb12u2 (Debian 12), pyOpenSSL 26.4.0 with cryptography 50.0.2 (PyPI,
# OpenSSL 4.0.3 inside).
#
# Question: a DTLS 1.2 server does not know the name that the client asks for (SNI) and says so by the warning alert
# unrecognized_name, as OpenSSL's own s_server does with -servername, then goes on. Which clients go on as well?
#
# Guess: all of them; a warning is no error, and over TLS the same pair of programs finishes the handshake.
#
# What it does: OpenSSL 3.0's client ends with "too many warn alerts" after that one alert and sends a fatal
# unexpected_message back, so the server's handshake ends too. It happens with any warning alert in the handshake
# (user_canceled seen too, before and after the ServerHello). OpenSSL 4.0.3's client finishes against the very same server,
# and GnuTLS 3.7.9, pion v3.1.15, mbedTLS 2.28 and Scandium 3.14.0 went on after user_canceled in those two places.
#
# What follows: a DTLS server sends no warning alert during a handshake. One built on OpenSSL never answers
# SSL_TLSEXT_ERR_ALERT_WARNING from its server name callback; SSL_TLSEXT_ERR_NOACK is the answer that says nothing. In a
# report from a user "too many warn alerts" means one alert: look which names the server knows.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
python_packages pyOpenSSL==26.4.0 cryptography==50.0.2
debian_packages openssl=3.0.22-1~deb12u2 libssl3=3.0.22-1~deb12u2
openssl=(env "LD_LIBRARY_PATH=$debian_libraries" "OPENSSL_CONF=$dir/debian/etc/ssl/openssl.cnf" "$dir/debian/usr/bin/openssl")

for name in known other; do
  "${openssl[@]}" req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$name.example" \
    -keyout "$dir/$name.key" -out "$dir/$name.pem" 2>/dev/null
done

cat >"$dir/client.py" <<'PY'
import socket, sys
from OpenSSL import SSL

print(SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode())
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.connect(("127.0.0.1", int(sys.argv[1])))
peer.settimeout(5)
session = SSL.Connection(SSL.Context(SSL.DTLS_CLIENT_METHOD), None)
session.set_tlsext_host_name(sys.argv[2].encode())
session.set_connect_state()
while True:
    try:
        session.do_handshake()
        print("handshake done")
        break
    except SSL.WantReadError:
        pass
    try:
        while True:
            peer.send(session.bio_read(65536))
    except SSL.WantReadError:
        session.bio_write(peer.recv(65536))
PY

# A server for one client at a time; its input stays open so that it goes on listening.
mkfifo "$dir/input"
exec 9<>"$dir/input"
port=$(python3 -c 'import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])')

serve() { # serve PROTOCOL
  "${openssl[@]}" s_server "$1" -accept "127.0.0.1:$port" -cert "$dir/other.pem" -key "$dir/other.key" \
    -servername known.example -cert2 "$dir/known.pem" -key2 "$dir/known.key" <&9 >"$dir/server" 2>&1 &
  server=$!
  started+=("$server")
  sleep 1
}
stop() {
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
}
ask() { # ask PROTOCOL NAME
  "${openssl[@]}" s_client "$1" -connect "127.0.0.1:$port" -servername "$2" </dev/null >"$dir/client" 2>&1 || true
}

"${openssl[@]}" version | tee "$dir/version" >/dev/null
seen "OpenSSL 3.0.22" "$dir/version"

serve -dtls1_2
ask -dtls1_2 known.example
seen "New, TLSv1.2, Cipher is ECDHE" "$dir/client"
stop

serve -dtls1_2
ask -dtls1_2 unknown.example
seen "too many warn alerts" "$dir/client"
seen "Cipher is (NONE)" "$dir/client"
stop

serve -dtls1_2
"$dir/venv/bin/python" "$dir/client.py" "$port" unknown.example >"$dir/client" 2>&1 || true
seen "handshake done" "$dir/client"
stop

serve -tls1_2
ask -tls1_2 unknown.example
seen "New, TLSv1.2, Cipher is ECDHE" "$dir/client"
stop
echo "as described"
