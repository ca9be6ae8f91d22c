#!/usr/bin/env bash
# Versions: tcpdump 4.99.3 and libpcap 1.10.3 (Debian 12); tshark 4.0.17, which has to be installed, beside it.
#
# Question: a pcapng file has two interfaces of the same link type, as `dumpcap -i a -i b` and mergecap write it.
# libpcap wants one link type in a file. Does tcpdump read the packets of both?
#
# Guess: yes, since the two types are equal; it would refuse raw IP beside Ethernet.
#
# What it does: two interfaces of Ethernet (1) or of "raw IPv4" (228) are read. Two of raw IP (101), the type of
# tun devices and WireGuard, are refused at the second one: "an interface has a type 101 different from the type
# of the first interface", which is 101 too. libpcap compares the number in the file with its own number for the
# first interface, and raw IP is one of the few types for which the two differ (101 and 12). With the second
# interface behind the first packet, that packet is read before the error. tshark reads all of them.
#
# What follows: a tool that writes captures of raw IP in pcapng names one interface, or writes Ethernet; whoever
# sends in a capture of a tunnel that tcpdump cannot read sends it through `editcap -F pcap`. A reader of its own
# must not take libpcap's verdict for the format's.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
command -v tshark >/dev/null || { echo "tshark is needed" >&2; exit 2; }
debian_packages tcpdump=4.99.3-1 libpcap0.8=1.10.3-1

cat >"$dir/write.py" <<'PY'
import sys
from pcapng import *

def write(name, link, data, late=False):
    first, second = packet(0, SECOND * 10**6, data), packet(1, SECOND * 10**6, data)
    both = [interface(link), first, interface(link), second] if late else [interface(link), interface(link), first, second]
    open("%s/%s.pcapng" % (sys.argv[1], name), "wb").write(b"".join([section(), *both]))

write("ethernet", ETHERNET, ETHERNET_PACKET)
write("ipv4", IPV4, PACKET)
write("raw", RAW_IP, PACKET)
write("raw-late", RAW_IP, PACKET, late=True)
PY
PYTHONPATH=$parts python3 -B "$dir/write.py" "$dir"

refusal="an interface has a type 101 different from the type of the first interface"
for name in ethernet ipv4 raw raw-late; do
  LD_LIBRARY_PATH=$debian_libraries "$dir/debian/usr/bin/tcpdump" -Z root -n -r "$dir/$name.pcapng" >"$dir/$name.out" 2>&1 || true
  tshark -n -r "$dir/$name.pcapng" -T fields -e coap.mid 2>/dev/null >"$dir/$name.tshark"
  printf '1\n1\n' | cmp -s - "$dir/$name.tshark" || seen "two messages" "$dir/$name.tshark"
  grep -c "10.0.0.1.40000 > 10.0.0.2.5683" "$dir/$name.out" >"$dir/$name.count" || true
done
for name in ethernet ipv4; do
  seen 2 "$dir/$name.count"
  not_seen "different" "$dir/$name.out"
done
seen "$refusal" "$dir/raw.out"
seen 0 "$dir/raw.count"
seen "$refusal" "$dir/raw-late.out"
seen 1 "$dir/raw-late.count"
echo "as described"
