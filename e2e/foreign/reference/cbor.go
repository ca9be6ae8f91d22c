package main

import (
	"encoding/json"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// keyTable turns map keys into integers and back.
type keyTable struct {
	integers map[string]uint64
	names    map[uint64]string
}

func newKeyTable(integers map[string]uint64) keyTable {
	names := make(map[uint64]string, len(integers))
	for name, integer := range integers {
		names[integer] = name
	}
	return keyTable{integers, names}
}

// encode turns JSON into CBOR in canonical order. Every number becomes a float, in the shortest width that
// holds it: these clients keep JSON as Go does.
func (t keyTable) encode(document json.RawMessage) ([]byte, error) {
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		return nil, err
	}
	mode, err := cbor.CanonicalEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(t.shorten(value))
}

func (t keyTable) shorten(value any) any {
	switch value := value.(type) {
	case map[string]any:
		short := make(map[any]any, len(value))
		for name, member := range value {
			if integer, ok := t.integers[name]; ok {
				short[integer] = t.shorten(member)
			} else {
				short[name] = t.shorten(member)
			}
		}
		return short
	case []any:
		short := make([]any, len(value))
		for index, member := range value {
			short[index] = t.shorten(member)
		}
		return short
	default:
		return value
	}
}

// decode turns CBOR into what encoding/json can write, and counts the keys that came as integers and those
// that came as text although the table has them.
func (t keyTable) decode(document []byte) (value any, integers, texts int, err error) {
	if err = cbor.Unmarshal(document, &value); err != nil {
		return nil, 0, 0, fmt.Errorf("the answer of %d bytes: %w", len(document), err)
	}
	value, err = t.lengthen(value, &integers, &texts)
	return value, integers, texts, err
}

func (t keyTable) lengthen(value any, integers, texts *int) (any, error) {
	switch value := value.(type) {
	case map[any]any:
		long := make(map[string]any, len(value))
		for key, member := range value {
			var name string
			switch key := key.(type) {
			case uint64:
				*integers++
				known, ok := t.names[key]
				if !ok {
					return nil, fmt.Errorf("the table has no key %d", key)
				}
				name = known
			case string:
				if _, ok := t.integers[key]; ok {
					*texts++
				}
				name = key
			default:
				return nil, fmt.Errorf("a map key %v of type %T", key, key)
			}
			member, err := t.lengthen(member, integers, texts)
			if err != nil {
				return nil, err
			}
			long[name] = member
		}
		return long, nil
	case []any:
		for index, member := range value {
			member, err := t.lengthen(member, integers, texts)
			if err != nil {
				return nil, err
			}
			value[index] = member
		}
		return value, nil
	default:
		return value, nil
	}
}
