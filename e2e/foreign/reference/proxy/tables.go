package main

import (
	"net/url"
	"strings"
)

// tables hold the names that have an integer, and the paths that have a code.
type tables struct {
	integers map[string]uint64
	names    map[uint64]string
	paths    map[string]string
}

func newTables(begin start) tables {
	names := make(map[uint64]string, len(begin.Keys))
	for name, integer := range begin.Keys {
		names[integer] = name
	}
	return tables{integers: begin.Keys, names: names, paths: begin.Paths}
}

// lengthen returns the path of a URL: a code's path with its parameters filled in, or the segments as they
// are.
func (t tables) lengthen(segments []string) string {
	path, ok := t.paths[segments[0]]
	if !ok {
		return "/" + escaped(segments)
	}
	parameters := segments[1:]
	filled := strings.Split(path, "/")
	for index, segment := range filled {
		if strings.HasPrefix(segment, "{") && len(parameters) > 0 {
			filled[index], parameters = url.PathEscape(parameters[0]), parameters[1:]
		}
	}
	return strings.Join(filled, "/")
}

func escaped(segments []string) string {
	all := make([]string, len(segments))
	for index, segment := range segments {
		all[index] = url.PathEscape(segment)
	}
	return strings.Join(all, "/")
}

// numbered returns the value with integers in place of the names of the table.
func (t tables) numbered(value any) any {
	switch value := value.(type) {
	case map[string]any:
		short := make(map[any]any, len(value))
		for name, member := range value {
			if integer, ok := t.integers[name]; ok {
				short[integer] = t.numbered(member)
			} else {
				short[name] = t.numbered(member)
			}
		}
		return short
	case []any:
		for index, member := range value {
			value[index] = t.numbered(member)
		}
	}
	return value
}

// named returns the value with names in place of the integers of the table, as encoding/json can write it.
func (t tables) named(value any) any {
	switch value := value.(type) {
	case map[any]any:
		long := make(map[string]any, len(value))
		for key, member := range value {
			switch key := key.(type) {
			case uint64:
				long[t.names[key]] = t.named(member)
			case string:
				long[key] = t.named(member)
			}
		}
		return long
	case []any:
		for index, member := range value {
			value[index] = t.named(member)
		}
	}
	return value
}
