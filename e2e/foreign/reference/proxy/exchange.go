package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/matrix-org/go-coap/v2/message"
	"github.com/matrix-org/go-coap/v2/message/codes"
	"github.com/matrix-org/go-coap/v2/mux"
)

const (
	authorization message.OptionID = 256
	// Connections that wait for the next request: as many as sessions that are measured.
	idleConnections = 64
	answerWithin    = 90 * time.Second
)

var methods = map[codes.Code]string{
	codes.GET: http.MethodGet, codes.POST: http.MethodPost, codes.PUT: http.MethodPut, codes.DELETE: http.MethodDelete,
}

type exchange struct {
	homeserver string
	client     http.Client
	tables     tables
	canonical  cbor.EncMode
}

func newExchange(begin start) *exchange {
	canonical, err := cbor.CanonicalEncOptions().EncMode()
	if err != nil {
		panic(err) // The options are constants of the library.
	}
	transport := &http.Transport{MaxIdleConns: idleConnections, MaxIdleConnsPerHost: idleConnections}
	return &exchange{
		homeserver: begin.Homeserver,
		client:     http.Client{Transport: transport, Timeout: answerWithin},
		tables:     newTables(begin),
		canonical:  canonical,
	}
}

func (e *exchange) serve(w mux.ResponseWriter, request *mux.Message) {
	code, body, err := e.answer(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference-proxy:", err)
		code, body = codes.BadGateway, nil
	}
	if err := w.SetResponse(code, message.AppCBOR, bytes.NewReader(body)); err != nil {
		fmt.Fprintln(os.Stderr, "reference-proxy:", err)
	}
}

func (e *exchange) answer(request *mux.Message) (codes.Code, []byte, error) {
	method, ok := methods[request.Code]
	if !ok {
		return codes.MethodNotAllowed, nil, nil
	}
	target, err := e.target(request)
	if err != nil {
		return codes.NotFound, nil, nil
	}
	body, err := e.requestBody(request)
	if err != nil {
		return codes.BadRequest, nil, nil
	}
	forwarded, err := http.NewRequest(method, e.homeserver+target, body)
	if err != nil {
		return 0, nil, err
	}
	forwarded.Header.Set("Content-Type", "application/json")
	if token, err := request.Options.GetString(authorization); err == nil {
		forwarded.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := e.client.Do(forwarded)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	document, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	encoded, err := e.encode(document)
	return codeFor(response.StatusCode), encoded, err
}

func (e *exchange) target(request *mux.Message) (string, error) {
	path, err := request.Options.Path()
	if err != nil {
		return "", err
	}
	target := e.tables.lengthen(strings.Split(strings.TrimPrefix(path, "/"), "/"))
	queries, err := request.Options.Queries()
	if err != nil || len(queries) == 0 {
		return target, nil
	}
	for index, query := range queries {
		name, value, _ := strings.Cut(query, "=")
		queries[index] = url.QueryEscape(name) + "=" + url.QueryEscape(value)
	}
	return target + "?" + strings.Join(queries, "&"), nil
}

// requestBody returns the body as JSON.
func (e *exchange) requestBody(request *mux.Message) (io.Reader, error) {
	if request.Body == nil || request.Code == codes.GET {
		return nil, nil
	}
	payload, err := io.ReadAll(request.Body)
	if err != nil || len(payload) == 0 {
		return nil, err
	}
	var value any
	if err := cbor.Unmarshal(payload, &value); err != nil {
		return nil, err
	}
	document, err := json.Marshal(e.tables.named(value))
	return bytes.NewReader(document), err
}

// encode turns JSON into CBOR with integer keys.
func (e *exchange) encode(document []byte) ([]byte, error) {
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		return nil, err
	}
	return e.canonical.Marshal(e.tables.numbered(value))
}

// codeFor returns the twin of a status, of those that such clients know.
func codeFor(status int) codes.Code {
	switch status {
	case http.StatusOK:
		return codes.Content
	case http.StatusUnauthorized:
		return codes.Unauthorized
	case http.StatusForbidden:
		return codes.Forbidden
	case http.StatusNotFound:
		return codes.NotFound
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codes.BadGateway
	}
	if status < http.StatusInternalServerError {
		return codes.BadRequest
	}
	return codes.InternalServerError
}
