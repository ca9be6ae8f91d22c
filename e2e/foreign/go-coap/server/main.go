// A CoAP server on go-coap v3, without DTLS: for tests of our client.
//
// It prints its port. Each line of standard input is a length: from then on every resource has that many
// bytes, of a new version. Each is answered by one line on standard output: how often a resource has been
// asked for since the last one. It ends with its input.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
	coapnet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/net/blockwise"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
)

// Time for a whole transfer. By default it is 3 s: then a block that is asked for is cut out of a newer body,
// and nothing tells the client.
const blockwiseWithin = 2 * time.Minute

type resource struct {
	lock    sync.Mutex
	version int
	runs    int
	body    []byte
}

// change makes another body and returns how often the one before has been asked for.
func (r *resource) change(length int) int {
	r.lock.Lock()
	defer r.lock.Unlock()
	runs := r.runs
	r.version, r.runs = r.version+1, 0
	var body bytes.Buffer
	for line := 0; body.Len() < length; line++ {
		fmt.Fprintf(&body, "%07x %06d \n", line, r.version)
	}
	r.body = body.Bytes()[:length]
	return runs
}

func (r *resource) ServeCOAP(w mux.ResponseWriter, _ *mux.Message) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.runs++
	if err := w.SetResponse(codes.Content, message.TextPlain, bytes.NewReader(r.body)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	socket, err := coapnet.NewListenUDP("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer socket.Close()
	body := &resource{}
	server := udp.NewServer(
		options.WithMux(body),
		options.WithBlockwise(true, blockwise.SZX1024, blockwiseWithin),
		// Standard output is for answers.
		options.WithErrors(func(error) {}),
	)
	go server.Serve(socket)
	defer server.Stop()
	fmt.Println(socket.LocalAddr().(*net.UDPAddr).Port)
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		length, err := strconv.Atoi(orders.Text())
		if err != nil {
			return err
		}
		fmt.Println(body.change(length))
	}
	return orders.Err()
}
