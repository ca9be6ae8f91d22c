#!/usr/bin/env bash
# Versions: openssl and libssl3 3.0.22-1~deb12u2 (Debian 12), Linux.
#
# Question: `openssl s_client -bind ADDRESS:PORT` is told a port that another s_client has already. What does it say?
#
# Guess: "Address already in use", over DTLS as over TLS, and with port 0 each gets a port of its own.
#
# What it does: over TLS to the same server the second one fails, when it connects ("Cannot assign requested
# address"). Over DTLS it starts without a word and sends its hello from the port of the first, whose socket is open
# still: s_client sets SO_REUSEADDR, which for UDP on Linux lets sockets share an address. With port 0 Linux may
# choose a port that such a socket has: of 60 clients at once two had one port in about one run of sixteen (counted
# elsewhere, not here).
#
# What follows: who starts many s_clients gives each a port that nobody else has, or an address of its own. To the server
# two of them look like one client that begins anew from its address (RFC 6347 section 4.2.8): the session of the first is
# replaced, and its records are not opened any more.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
debian_packages openssl=3.0.22-1~deb12u2 libssl3=3.0.22-1~deb12u2
openssl=(env "LD_LIBRARY_PATH=$debian_libraries" "OPENSSL_CONF=$dir/debian/etc/ssl/openssl.cnf" "$dir/debian/usr/bin/openssl")

"${openssl[@]}" version >"$dir/version"
seen "OpenSSL 3.0.22" "$dir/version"

# Starts two clients of one port, one after the other, and tells from where their first bytes come.
cat >"$dir/watch.py" <<'PY'
import socket, subprocess, sys

over, client = sys.argv[1], sys.argv[2:]
datagrams = over == "-dtls1_2"
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
server.bind(("127.0.0.1", 0))
server.settimeout(20)
with socket.socket(socket.AF_INET, server.type) as free:
    free.bind(("127.0.0.1", 0))
    own = free.getsockname()
if not datagrams:
    server.listen()
line = [*client, over, "-bind", "%s:%d" % own, "-connect", "%s:%d" % server.getsockname()]
kept, clients, randoms = [], [], set()
for name in ("first", "second"):
    clients.append(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    if name == "second" and not datagrams:
        print("second:", clients[-1].communicate(timeout=20)[0].decode())
        break
    if datagrams:
        # A copy of the first one's hello has the same random (bytes 27 to 58).
        while True:
            hello, peer = server.recvfrom(2048)
            if hello[27:59] not in randoms:
                randoms.add(hello[27:59])
                break
    else:
        connection, peer = server.accept()
        kept.append(connection)
    print(f"{name}: from {'the same port' if peer == own else peer}, running: {clients[0].poll() is None}")
for each in clients:
    each.kill()
    each.wait()
PY

python3 "$dir/watch.py" -tls1_2 "${openssl[@]}" s_client >"$dir/tls"
seen "first: from the same port" "$dir/tls"
seen "Cannot assign requested address" "$dir/tls"

python3 "$dir/watch.py" -dtls1_2 "${openssl[@]}" s_client >"$dir/dtls"
seen "first: from the same port, running: True" "$dir/dtls"
seen "second: from the same port, running: True" "$dir/dtls"
echo "as described"
