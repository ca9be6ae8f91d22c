#!/usr/bin/env bash
# Version: tshark 4.0.17 with Lua 5.2 (Debian 12), which has to be installed.
#
# Question: a plugin in Lua keeps something from one frame to the next (requests for their answers, blocks of a
# body). Wireshark says to do that while pinfo.visited is false, in the first pass over the file, because later
# frames are visited in any order. With `tshark -2`, does a post-dissector that has asked for a field by Field.new()
# see it in both passes?
#
# Guess: yes; asking for a field is what tells Wireshark to build it.
#
# What it does: the post-dissector is called for each frame in both passes, but in the first one its fields have no
# value: there is no tree yet. Neither -T fields nor -V change that; a filter (-R or -Y), whatever it asks for, does.
# So state that is gathered in the first pass stays empty or not, as the reader of the capture filters, and without
# -2 all works, since the one pass there is has a tree. A dissector that is called by port sees its bytes in both
# passes.
#
# What follows: a plugin with state reads the bytes itself, as a dissector by port in front of the built-in one,
# and leaves only the showing to a post-dissector; and its tests run with -2 as well.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"
command -v tshark >/dev/null || { echo "tshark is needed" >&2; exit 2; }
tshark --version 2>/dev/null | head -n 1 >"$dir/version"
seen "4.0.17" "$dir/version"

cat >"$dir/write.py" <<'PY'
import sys
from pcapng import *

open(sys.argv[1] + "/made.pcapng", "wb").write(section() + interface() + packet(0, SECOND * 10**6, PACKET))
PY
PYTHONPATH=$parts python3 -B "$dir/write.py" "$dir"

cat >"$dir/plugin.lua" <<'LUA'
local behind, by_port = Proto("behind", "Post-dissector"), Proto("by_port", "Dissector")
local id = Field.new("coap.mid")
function behind.dissector(_, pinfo)
    local found = id()
    print("post-dissector, visited " .. tostring(pinfo.visited) .. ": " .. (found and found.value or "no field"))
end
function by_port.dissector(bytes, pinfo, tree)
    print("dissector, visited " .. tostring(pinfo.visited) .. ": " .. bytes:len() .. " bytes")
    return Dissector.get("coap"):call(bytes, pinfo, tree)
end
register_postdissector(behind)
DissectorTable.get("udp.port"):add(5683, by_port)
LUA

passes() {
  tshark -n -r "$dir/made.pcapng" -X "lua_script:$dir/plugin.lua" "$@" 2>/dev/null >"$dir/out"
}
passes
seen "post-dissector, visited false: 1" "$dir/out"
for more in "" "-T fields -e coap.mid" "-V"; do
  # shellcheck disable=SC2086
  passes -2 $more
  seen "dissector, visited false: 7 bytes" "$dir/out"
  seen "post-dissector, visited false: no field" "$dir/out"
  seen "dissector, visited true: 7 bytes" "$dir/out"
  seen "post-dissector, visited true: 1" "$dir/out"
done
for filter in "-R frame" "-Y frame"; do
  # shellcheck disable=SC2086
  passes -2 $filter
  seen "post-dissector, visited false: 1" "$dir/out"
  not_seen "no field" "$dir/out"
done
echo "as described"
