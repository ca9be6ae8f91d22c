//! Types of handshake messages and what they are called (RFC 5246 section 7.4, RFC 6347 section 4.3.2).

macro_rules! messages {
    ($($constant:ident = $number:literal, $name:literal;)*) => {
        $(
            #[doc = concat!("HandshakeType ", $number, ", ", $name)]
            pub const $constant: u8 = $number;
        )*

        /// Returns the name of a type, e.g. `ClientHello`; None for one that DTLS 1.2 does not have.
        pub const fn name(kind: u8) -> Option<&'static str> {
            match kind {
                $($number => Some($name),)*
                _ => None,
            }
        }
    };
}

// NewSessionTicket: RFC 5077 section 3.3; CertificateURL and CertificateStatus: RFC 6066 sections 5 and 8;
// SupplementalData: RFC 4680 section 2.
messages! {
    HELLO_REQUEST = 0, "HelloRequest";
    CLIENT_HELLO = 1, "ClientHello";
    SERVER_HELLO = 2, "ServerHello";
    HELLO_VERIFY_REQUEST = 3, "HelloVerifyRequest";
    NEW_SESSION_TICKET = 4, "NewSessionTicket";
    CERTIFICATE = 11, "Certificate";
    SERVER_KEY_EXCHANGE = 12, "ServerKeyExchange";
    CERTIFICATE_REQUEST = 13, "CertificateRequest";
    SERVER_HELLO_DONE = 14, "ServerHelloDone";
    CERTIFICATE_VERIFY = 15, "CertificateVerify";
    CLIENT_KEY_EXCHANGE = 16, "ClientKeyExchange";
    FINISHED = 20, "Finished";
    CERTIFICATE_URL = 21, "CertificateURL";
    CERTIFICATE_STATUS = 22, "CertificateStatus";
    SUPPLEMENTAL_DATA = 23, "SupplementalData";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_names_of_the_specification() {
        for (kind, expected) in [
            (CLIENT_HELLO, Some("ClientHello")),
            (HELLO_VERIFY_REQUEST, Some("HelloVerifyRequest")),
            (SERVER_HELLO_DONE, Some("ServerHelloDone")),
            (20, Some("Finished")),
            (99, None),
        ] {
            assert_eq!(name(kind), expected);
        }
    }
}
