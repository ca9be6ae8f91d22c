"""Names and addresses of a node, for both of its sides."""

import zlib

NODE_NAME = "node1"
NODE, CLIENT = "10.200.0.1", "10.200.0.2"
PODS, SERVICES = "10.201.0.0/24", "10.96.0.0/16"


def cgroup(folder):
    """The cgroup above all pods of the node of a folder."""
    return f"lowband-node-{zlib.crc32(str(folder).encode()):08x}"
