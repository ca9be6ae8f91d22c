//! What `--help` says of variables of the environment.

/// Variables that commands with sessions of their own look at.
pub(crate) const OF_SESSIONS: &str = "Environment:
  SSLKEYLOGFILE  a file to which the secrets of sessions are appended, for
                 Wireshark and `lowband show`. A session then takes AES-GCM,
                 8 bytes more a record, because Wireshark cannot read
                 ChaCha20-Poly1305 in DTLS
  NO_COLOR       with any text in it there are no colours";

/// Variables that commands look at which write to terminals alone.
pub(crate) const OF_TERMINALS: &str = "Environment:
  NO_COLOR  with any text in it there are no colours";
