// A CoAP client on go-coap v3 over pion's DTLS, with their defaults, driven by lines of JSON: for tests of
// late answers. It believes any certificate.
//
// The one argument is the server, HOST:PORT. Each line of standard input is a path, as JSON text, that is
// fetched; each is answered by one line on standard output: the code and the payload in hexadecimal digits,
// or what failed. The program ends with its input.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/udp/client"
)

// The longest that one answer may take: 90 s unless LOWBAND_ANSWER_WITHIN holds another number of seconds.
func answerWithin() time.Duration {
	if seconds, err := strconv.Atoi(os.Getenv("LOWBAND_ANSWER_WITHIN")); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return 90 * time.Second
}

type answer struct {
	Error   string `json:"error,omitempty"`
	Code    string `json:"code,omitempty"`
	Payload string `json:"payload,omitempty"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(server string) error {
	connection, err := dtls.Dial(server, &piondtls.Config{InsecureSkipVerify: true})
	if err != nil {
		return fmt.Errorf("the handshake: %w", err)
	}
	defer connection.Close()
	orders := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for orders.Scan() {
		var path string
		if err := json.Unmarshal(orders.Bytes(), &path); err != nil {
			return err
		}
		told, err := fetch(connection, path)
		if err != nil {
			told = answer{Error: err.Error()}
		}
		if err := answers.Encode(told); err != nil {
			return err
		}
	}
	return orders.Err()
}

func fetch(connection *client.Conn, path string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin())
	defer cancel()
	response, err := connection.Get(ctx, path)
	if err != nil {
		return answer{}, err
	}
	defer connection.ReleaseMessage(response)
	payload, err := response.ReadBody()
	code := response.Code()
	return answer{Code: fmt.Sprintf("%d.%02d", code>>5, code&31), Payload: hex.EncodeToString(payload)}, err
}
