#!/usr/bin/env bash
# Versions: pion/dtls v2.2.12 and v3.1.15 (Go modules), a server of OpenSSL 3.0 (the machine's `openssl`).
#
# Question: a DTLS 1.2 server has an RSA key, and its certificate is signed by an authority with a P-256 key.
# The client trusts that authority. Does the handshake succeed with pion?
#
# Guess: yes; key and signature of a certificate have nothing to do with each other.
#
# What it does: pion v2 ends with "dtls internal: unable to verify key signature, unimplemented". The three
# other pairs (RSA by RSA, P-256 by P-256, P-256 by RSA) work with it, and all four work with v3. It looks at
# how the certificate was signed where it should look at the key in it.
#
# What follows: a server whose clients may be built on pion v2 (all that rests on go-coap v2 is) takes a P-256
# key, whoever signs; or an RSA key under an RSA authority. "unimplemented" in such a client's log means the
# certificate, not the cipher suites. The change of an authority's key from RSA to ECDSA at a renewal is
# enough to lock these clients out with the server's key unchanged.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"

for version in 2 3; do
  cat >"$dir/v$version.go" <<GO
package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/pion/dtls/v$version"
)

func main() {
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	address, err := net.ResolveUDPAddr("udp", os.Args[1])
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	config := &dtls.Config{RootCAs: roots, ServerName: "localhost"}
	DIAL
	fmt.Println("result:", err)
	if err == nil {
		session.Close()
	}
}
GO
done
sed -i 's/DIAL/session, err := dtls.DialWithContext(ctx, "udp", address, config)/' "$dir/v2.go"
sed -i 's/DIAL/session, err := dtls.Dial("udp", address, config)\nif err == nil {\nerr = session.HandshakeContext(ctx)\n}/' "$dir/v3.go"
go_program v2 github.com/pion/dtls/v2@v2.2.12
go_program v3 github.com/pion/dtls/v3@v3.1.15

key() { # key rsa|p256 FILE
  if [ "$1" = rsa ]; then openssl genrsa -out "$2" 2048; else openssl ecparam -genkey -name prime256v1 -noout -out "$2"; fi 2>/dev/null
}
printf 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n' >"$dir/extensions"
for authority in rsa p256; do
  key "$authority" "$dir/$authority.ca.key"
  openssl req -x509 -new -key "$dir/$authority.ca.key" -subj /CN=authority -days 2 -out "$dir/$authority.ca.pem" 2>/dev/null
  for leaf in rsa p256; do
    name=$leaf-by-$authority
    key "$leaf" "$dir/$name.key"
    openssl req -new -key "$dir/$name.key" -subj /CN=localhost -out "$dir/request" 2>/dev/null
    openssl x509 -req -in "$dir/request" -CA "$dir/$authority.ca.pem" -CAkey "$dir/$authority.ca.key" -CAcreateserial -days 2 \
      -extfile "$dir/extensions" -out "$dir/$name.pem" 2>/dev/null
    openssl verify -CAfile "$dir/$authority.ca.pem" "$dir/$name.pem" >"$dir/verify"
    for version in v2 v3; do
      port=$(python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
      mkfifo "$dir/$name.$version.input"
      sleep 60 >"$dir/$name.$version.input" & # keeps the server's input open
      started+=($!)
      openssl s_server -dtls1_2 -accept "127.0.0.1:$port" -cert "$dir/$name.pem" -key "$dir/$name.key" -mtu 1200 \
        <"$dir/$name.$version.input" >"$dir/server" 2>&1 &
      started+=($!)
      grep -q ACCEPT <(tail -n +1 -F --pid=$! "$dir/server" 2>/dev/null)
      "$dir/$version" "127.0.0.1:$port" "$dir/$authority.ca.pem" >"$dir/$name.$version"
    done
  done
done
seen "unable to verify key signature, unimplemented" "$dir/rsa-by-p256.v2"
for pair in rsa-by-rsa p256-by-p256 p256-by-rsa; do seen "result: <nil>" "$dir/$pair.v2"; done
for pair in rsa-by-rsa p256-by-p256 p256-by-rsa rsa-by-p256; do seen "result: <nil>" "$dir/$pair.v3"; done
echo "as described"
