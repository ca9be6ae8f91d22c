package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	coapdtls "github.com/matrix-org/go-coap/v2/dtls"
	"github.com/matrix-org/go-coap/v2/message"
	"github.com/matrix-org/go-coap/v2/message/codes"
	"github.com/matrix-org/go-coap/v2/net/blockwise"
	"github.com/matrix-org/go-coap/v2/net/monitor/inactivity"
	"github.com/matrix-org/go-coap/v2/udp/client"
	"github.com/matrix-org/go-coap/v2/udp/message/pool"
	"github.com/pion/dtls/v2"
)

const (
	connectWithin  = 30 * time.Second
	flightInterval = 2 * time.Second
	// An unacknowledged message is repeated after the sum of both, four times, always after the same time.
	acknowledgeWait = 8 * time.Second
	startWait       = time.Second
	repeats         = 4
	pingInterval    = 60 * time.Second
	missedPings     = 4
	blockwiseWithin = 2 * time.Minute
	// pion's Close hangs in about one of a thousand handshakes.
	closeWithin = 2 * time.Second

	authorization message.OptionID = 256
)

// The longest that one order may take: 90 s, because a long poll may wait for more than a minute, unless
// LOWBAND_ANSWER_WITHIN holds another number of seconds.
func answerWithin() time.Duration {
	if seconds, err := strconv.Atoi(os.Getenv("LOWBAND_ANSWER_WITHIN")); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return 90 * time.Second
}

// The codes that such clients know. They take any other for a failure of the transport, and go to HTTPS.
var known = map[codes.Code]bool{
	codes.Content: true, codes.BadRequest: true, codes.Unauthorized: true, codes.Forbidden: true, codes.NotFound: true,
	codes.MethodNotAllowed: true, codes.RequestEntityTooLarge: true, codes.InternalServerError: true,
	codes.BadGateway: true, codes.GatewayTimeout: true,
}

var methods = map[string]codes.Code{
	"GET": codes.GET, "POST": codes.POST, "PUT": codes.PUT, "DELETE": codes.DELETE,
}

// session is one DTLS session and the HTTPS server beside it.
type session struct {
	server  string
	secured *dtls.Conn
	coap    *client.ClientConn
	https   http.Client
	keys    keyTable
	paths   pathTable
	// The server keeps the token for the session: it is sent once.
	authorized bool
}

func dial(begin start) (*session, error) {
	socket, err := net.Dial("udp", begin.Server)
	if err != nil {
		return nil, err
	}
	secured, err := dtls.Client(socket, &dtls.Config{
		InsecureSkipVerify: true,
		FlightInterval:     flightInterval,
		ConnectContextMaker: func() (context.Context, func()) {
			return context.WithTimeout(context.Background(), connectWithin)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("the handshake: %w", err)
	}
	gone := func(inactivity.ClientConn) {}
	coap := coapdtls.Client(secured,
		coapdtls.WithTransmission(startWait, acknowledgeWait, repeats),
		coapdtls.WithBlockwise(true, blockwise.SZX1024, blockwiseWithin),
		coapdtls.WithKeepAlive(missedPings, (missedPings+1)*pingInterval, gone),
		// Standard output is for answers; an order that fails reports its own error.
		coapdtls.WithErrors(func(error) {}),
	)
	believing := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	return &session{
		server:  begin.Server,
		secured: secured,
		coap:    coap,
		https:   http.Client{Transport: believing, Timeout: answerWithin()},
		keys:    newKeyTable(begin.Keys),
		paths:   newPathTable(begin.Paths),
	}, nil
}

func (s *session) close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.coap.Close()
		s.secured.Close()
	}()
	select {
	case <-closed:
	case <-time.After(closeWithin):
	}
}

func (s *session) obey(next order) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin())
	defer cancel()
	if next.Ping {
		return answer{Over: "coap"}, s.coap.Ping(ctx)
	}
	reply, code, err := s.overCoAP(ctx, next)
	if err != nil || known[code] {
		return reply, err
	}
	refused := reply.Code
	reply, err = s.overHTTPS(ctx, next)
	reply.Refused = refused
	return reply, err
}

func (s *session) overCoAP(ctx context.Context, next order) (answer, codes.Code, error) {
	request, tokenSent, err := s.request(ctx, next)
	if err != nil {
		return answer{}, 0, err
	}
	defer pool.ReleaseMessage(request)
	response, err := s.coap.Do(request)
	if err != nil {
		return answer{}, 0, err
	}
	defer pool.ReleaseMessage(response)
	s.authorized = s.authorized || tokenSent
	code := response.Code()
	reply := answer{Over: "coap", Code: fmt.Sprintf("%d.%02d", code>>5, code&31), TokenSent: tokenSent}
	if !known[code] {
		return reply, code, nil
	}
	payload, err := response.ReadBody()
	if err != nil {
		return answer{}, 0, err
	}
	// The response's Content-Format does not matter: these clients do not look at it.
	reply.Bytes = len(payload)
	reply.Body, reply.IntegerKeys, reply.TextKeys, err = s.keys.decode(payload)
	return reply, code, err
}

// request returns the message for an order, and whether it carries the token.
func (s *session) request(ctx context.Context, next order) (*pool.Message, bool, error) {
	target, err := url.ParseRequestURI(next.Target)
	if err != nil {
		return nil, false, err
	}
	code, ok := methods[next.Method]
	if !ok {
		return nil, false, fmt.Errorf("no method %q", next.Method)
	}
	path, err := s.paths.shorten(target.EscapedPath())
	if err != nil {
		return nil, false, err
	}
	var payload io.ReadSeeker
	if next.Body != nil {
		encoded, err := s.keys.encode(next.Body)
		if err != nil {
			return nil, false, err
		}
		payload = bytes.NewReader(encoded)
	}
	request, err := client.NewGetRequest(ctx, path)
	if err != nil {
		return nil, false, err
	}
	request.SetCode(code)
	// This is not the Content-Format of CBOR, and it is set without a payload too, as these clients do.
	request.SetContentFormat(message.AppOctets)
	if payload != nil {
		request.SetBody(payload)
	}
	if next.Observe {
		request.SetObserve(0)
	}
	for _, pair := range strings.FieldsFunc(target.RawQuery, func(c rune) bool { return c == '&' }) {
		plain, err := url.QueryUnescape(pair)
		if err != nil {
			return nil, false, err
		}
		request.AddQuery(plain)
	}
	tokenSent := next.Token != "" && !s.authorized
	if tokenSent {
		request.SetOptionString(authorization, next.Token)
	}
	return request, tokenSent, nil
}

func (s *session) overHTTPS(ctx context.Context, next order) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, next.Method, "https://"+s.server+next.Target, bytes.NewReader(next.Body))
	if err != nil {
		return answer{}, err
	}
	if next.Token != "" {
		request.Header.Set("Authorization", "Bearer "+next.Token)
	}
	if next.Body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.https.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	payload, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	reply := answer{Over: "https", Code: fmt.Sprint(response.StatusCode), Bytes: len(payload)}
	return reply, json.Unmarshal(payload, &reply.Body)
}
