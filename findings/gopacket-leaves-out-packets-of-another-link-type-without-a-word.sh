#!/usr/bin/env bash
# Version: github.com/gopacket/gopacket v1.7.7 (Go).
#
# Question: pcapgo.NgReader reads a pcapng file with an interface of raw IP and one of Ethernet, with its default
# options. And what time has a packet of an interface that counts whole seconds (if_tsresol 0)?
#
# Guess: an error at the packet of the other type, as the option WantMixedLinkType suggests; the time is right.
#
# What it does: the packet of the other type is skipped, and the reading ends with io.EOF as that of a whole file
# does. With WantMixedLinkType both are read. Whole seconds are taken for microseconds, the default where the
# option is missing: 1970-01-01 00:28:20 for 2023-11-14 22:13:20. Nanoseconds and powers of two are right.
#
# What follows: a test that counts packets with gopacket sets WantMixedLinkType, always. A reader of its own says
# how many packets it could not read and why, and keeps "0" and "not said" apart.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"

cat >"$dir/write.py" <<'PY'
import sys
from pcapng import *

def write(name, *parts):
    open("%s/%s.pcapng" % (sys.argv[1], name), "wb").write(b"".join([section(), *parts]))

write("types", interface(RAW_IP), interface(ETHERNET), packet(0, SECOND * 10**6, PACKET), packet(1, SECOND * 10**6, ETHERNET_PACKET))
for name, resolution, unit in (("seconds", 0, 1), ("nanoseconds", 9, 10**9), ("powers", 0x80 | 20, 2**20)):
    write(name, interface(resolution=resolution), packet(0, SECOND * unit, PACKET))
PY
PYTHONPATH=$parts python3 -B "$dir/write.py" "$dir"

cat >"$dir/read.go" <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/gopacket/gopacket/pcapgo"
)

func main() {
	for _, mixed := range []bool{false, true} {
		for _, name := range []string{"types", "seconds", "nanoseconds", "powers"} {
			file, err := os.Open(os.Args[1] + "/" + name + ".pcapng")
			if err != nil {
				panic(err)
			}
			reader, err := pcapgo.NewNgReader(file, pcapgo.NgReaderOptions{WantMixedLinkType: mixed})
			if err != nil {
				panic(err)
			}
			fmt.Printf("%s, mixed %v:", name, mixed)
			for {
				data, info, err := reader.ReadPacketData()
				if err != nil {
					fmt.Println("", err)
					break
				}
				fmt.Printf(" %d bytes at %d,", len(data), info.Timestamp.Unix())
			}
		}
	}
}
GO
go_program read github.com/gopacket/gopacket/pcapgo@v1.7.7
"$dir/read" "$dir" >"$dir/read.out"
seen "types, mixed false: 35 bytes at 1700000000, EOF" "$dir/read.out"
seen "types, mixed true: 35 bytes at 1700000000, 49 bytes at 1700000000, EOF" "$dir/read.out"
seen "seconds, mixed false: 35 bytes at 1700, EOF" "$dir/read.out"
seen "nanoseconds, mixed false: 35 bytes at 1700000000, EOF" "$dir/read.out"
seen "powers, mixed false: 35 bytes at 1700000000, EOF" "$dir/read.out"
echo "as described"
