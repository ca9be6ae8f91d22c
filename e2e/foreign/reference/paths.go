package main

import (
	"net/url"
	"strings"
)

// pathTable knows the paths that have a code.
type pathTable []template

type template struct {
	code       string
	segments   []string
	parameters int
}

func newPathTable(paths map[string]string) pathTable {
	var table pathTable
	for code, path := range paths {
		segments := strings.Split(path, "/")
		table = append(table, template{code, segments, strings.Count(path, "{")})
	}
	return table
}

// shorten turns the path of a URL into the one that goes out: the code and the parameters, or the whole path;
// not percent-encoded.
func (t pathTable) shorten(escaped string) (string, error) {
	segments := strings.Split(escaped, "/")
	for index, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return "", err
		}
		segments[index] = plain
	}
	path, fewest := strings.Join(segments, "/"), len(segments)
	for _, candidate := range t {
		parameters, ok := candidate.match(segments)
		// The most literal match wins: a name in a path is not a value of a parameter.
		if ok && candidate.parameters < fewest {
			path, fewest = "/"+strings.Join(append([]string{candidate.code}, parameters...), "/"), candidate.parameters
		}
	}
	return path, nil
}

// match returns the values of the parameters.
func (t template) match(segments []string) ([]string, bool) {
	if len(segments) != len(t.segments) {
		return nil, false
	}
	var parameters []string
	for index, segment := range t.segments {
		if strings.HasPrefix(segment, "{") {
			parameters = append(parameters, segments[index])
		} else if segment != segments[index] {
			return nil, false
		}
	}
	return parameters, true
}
