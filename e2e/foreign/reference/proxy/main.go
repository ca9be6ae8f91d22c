// A proxy of low-bandwidth Matrix on the stack of the protocol's first implementation, in one process: CoAP
// over DTLS and CBOR with integer keys on one side, JSON over HTTP on the other. For measurements alone: it
// stands for what that implementation costs, has its libraries in their versions and its settings, and none
// of its care.
//
// One line of standard input configures it. It prints its port and ends with its input.
//
// main.go listens, exchange.go carries a request to the homeserver and back, tables.go applies the tables.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	coapdtls "github.com/matrix-org/go-coap/v2/dtls"
	"github.com/matrix-org/go-coap/v2/mux"
	coapnet "github.com/matrix-org/go-coap/v2/net"
	"github.com/matrix-org/go-coap/v2/net/blockwise"
	"github.com/pion/dtls/v2"
)

const (
	// An unacknowledged message is repeated after the sum of both, four times, always after the same time.
	acknowledgeWait = 8 * time.Second
	startWait       = time.Second
	repeats         = 4
	blockwiseWithin = 2 * time.Minute
	connectWithin   = 30 * time.Second
)

// start is the line of standard input.
type start struct {
	// Base URL of the homeserver.
	Homeserver string `json:"homeserver"`
	// Files in PEM.
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	// Name to integer.
	Keys map[string]uint64 `json:"keys"`
	// Path code to path, with parameters in braces.
	Paths map[string]string `json:"paths"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "reference-proxy:", err)
		os.Exit(1)
	}
}

func run() error {
	input := bufio.NewReader(os.Stdin)
	line, err := input.ReadBytes('\n')
	if err != nil {
		return err
	}
	var begin start
	if err := json.Unmarshal(line, &begin); err != nil {
		return fmt.Errorf("the first line: %w", err)
	}
	certificate, err := tls.LoadX509KeyPair(begin.Certificate, begin.Key)
	if err != nil {
		return err
	}
	listener, err := coapnet.NewDTLSListener("udp4", "127.0.0.1:0", &dtls.Config{
		Certificates: []tls.Certificate{certificate},
		ConnectContextMaker: func() (context.Context, func()) {
			return context.WithTimeout(context.Background(), connectWithin)
		},
	})
	if err != nil {
		return err
	}
	defer listener.Close()
	server := coapdtls.NewServer(
		coapdtls.WithMux(mux.HandlerFunc(newExchange(begin).serve)),
		coapdtls.WithTransmission(startWait, acknowledgeWait, repeats),
		coapdtls.WithBlockwise(true, blockwise.SZX1024, blockwiseWithin),
		// A client that goes away is not a failure, and standard output is for the port.
		coapdtls.WithErrors(func(error) {}),
	)
	go server.Serve(listener)
	defer server.Stop()
	fmt.Println(listener.Addr().(*net.UDPAddr).Port)
	_, err = io.Copy(io.Discard, input)
	return err
}
