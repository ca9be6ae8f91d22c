// A low-bandwidth Matrix client on the stack that the clients of the protocol's first implementation are made
// of, with their settings: what passes with it passes with them. It believes any certificate, as they do: it
// is for tests alone.
//
// The first line of standard input names the server and holds the tables; each further line is a request,
// answered by one line on standard output. The program ends with its input.
//
// main.go reads and answers, coap.go is the wire, cbor.go and paths.go apply the two tables.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// start is the first line.
type start struct {
	// Host and port of the server, for UDP and TCP alike.
	Server string `json:"server"`
	// Name to integer.
	Keys map[string]uint64 `json:"keys"`
	// Path code to path, with parameters in braces.
	Paths map[string]string `json:"paths"`
}

// order is any further line.
type order struct {
	// Whether to send an Empty confirmable message; the other fields do not count then.
	Ping bool `json:"ping"`
	// GET, POST, PUT or DELETE.
	Method string `json:"method"`
	// Path and query, percent-encoded as for HTTP.
	Target string `json:"target"`
	// The access token. It goes out with the first request of the session that has one, and never again.
	Token string `json:"token"`
	// Whether to ask for notifications (RFC 7641), and take the first answer.
	Observe bool `json:"observe"`
	// The body as JSON; absent means no payload.
	Body json.RawMessage `json:"body"`
}

// answer is the report on an order.
type answer struct {
	// The failure below Matrix; all else is empty then.
	Error string `json:"error,omitempty"`
	// "coap", or "https" after a fallback.
	Over string `json:"over,omitempty"`
	// "2.05" or "200".
	Code string `json:"code,omitempty"`
	// The code of the answer over CoAP that was taken as the sign to fall back.
	Refused string `json:"refused,omitempty"`
	// Whether the request carried option 256.
	TokenSent bool `json:"token_sent"`
	// The answer's document.
	Body any `json:"body,omitempty"`
	// The length of the answer's payload as it came.
	Bytes int `json:"bytes"`
	// Keys of the answer that came as integers.
	IntegerKeys int `json:"integer_keys"`
	// Keys of the answer that came as text although the table has them.
	TextKeys int `json:"text_keys"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "reference-client:", err)
		os.Exit(1)
	}
}

func run() error {
	orders := json.NewDecoder(bufio.NewReader(os.Stdin))
	answers := json.NewEncoder(os.Stdout)
	var begin start
	if err := orders.Decode(&begin); err != nil {
		return fmt.Errorf("the first line: %w", err)
	}
	client, err := dial(begin)
	if err != nil {
		return err
	}
	defer client.close()
	for orders.More() {
		var next order
		if err := orders.Decode(&next); err != nil {
			return fmt.Errorf("an order: %w", err)
		}
		reply, err := client.obey(next)
		if err != nil {
			reply = answer{Error: err.Error()}
		}
		if err := answers.Encode(reply); err != nil {
			return err
		}
	}
	return nil
}
