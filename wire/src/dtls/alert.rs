//! Alerts (RFC 5246 section 7.2): level and description.

use super::record::{ContentType, RecordNumber, header};

/// Level of an alert after which the session may go on.
pub const WARNING: u8 = 1;
/// Level of an alert that ends the session.
pub const FATAL: u8 = 2;

/// An alert, whose numbers may be any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// [`WARNING`] or [`FATAL`].
    pub level: u8,
    /// AlertDescription, one of the constants of this module as a rule.
    pub description: u8,
}

impl Alert {
    /// Reads the content of a record; None if it has not exactly two bytes.
    pub fn parse(content: &[u8]) -> Option<Alert> {
        let &[level, description] = content else { return None };
        Some(Alert { level, description })
    }

    /// Returns whether the alert ends the session by its level.
    pub fn is_fatal(self) -> bool {
        self.level == FATAL
    }

    /// Returns the two bytes of the content.
    pub const fn to_wire(self) -> [u8; 2] {
        [self.level, self.description]
    }
}

/// Makes the record of a fatal alert in epoch 0, where nothing protects it: 15 bytes.
pub fn plaintext_alert(version: [u8; 2], number: RecordNumber, description: u8) -> Vec<u8> {
    let alert = Alert { level: FATAL, description };
    [&header(ContentType::Alert, version, number, 2)[..], &alert.to_wire()].concat()
}

macro_rules! descriptions {
    ($($constant:ident = $number:literal, $name:literal;)*) => {
        $(
            #[doc = concat!($number, ", `", $name, "` (RFC 5246 section 7.2, or IANA's registry)")]
            pub const $constant: u8 = $number;
        )*

        /// Returns what the registry calls a description, e.g. `handshake_failure`; None for one that it
        /// does not have for DTLS 1.2.
        pub const fn name(description: u8) -> Option<&'static str> {
            match description {
                $($number => Some($name),)*
                _ => None,
            }
        }
    };
}

descriptions! {
    CLOSE_NOTIFY = 0, "close_notify";
    UNEXPECTED_MESSAGE = 10, "unexpected_message";
    BAD_RECORD_MAC = 20, "bad_record_mac";
    DECRYPTION_FAILED = 21, "decryption_failed";
    RECORD_OVERFLOW = 22, "record_overflow";
    DECOMPRESSION_FAILURE = 30, "decompression_failure";
    HANDSHAKE_FAILURE = 40, "handshake_failure";
    NO_CERTIFICATE = 41, "no_certificate";
    BAD_CERTIFICATE = 42, "bad_certificate";
    UNSUPPORTED_CERTIFICATE = 43, "unsupported_certificate";
    CERTIFICATE_REVOKED = 44, "certificate_revoked";
    CERTIFICATE_EXPIRED = 45, "certificate_expired";
    CERTIFICATE_UNKNOWN = 46, "certificate_unknown";
    ILLEGAL_PARAMETER = 47, "illegal_parameter";
    UNKNOWN_CA = 48, "unknown_ca";
    ACCESS_DENIED = 49, "access_denied";
    DECODE_ERROR = 50, "decode_error";
    DECRYPT_ERROR = 51, "decrypt_error";
    EXPORT_RESTRICTION = 60, "export_restriction";
    PROTOCOL_VERSION = 70, "protocol_version";
    INSUFFICIENT_SECURITY = 71, "insufficient_security";
    INTERNAL_ERROR = 80, "internal_error";
    INAPPROPRIATE_FALLBACK = 86, "inappropriate_fallback";
    USER_CANCELED = 90, "user_canceled";
    NO_RENEGOTIATION = 100, "no_renegotiation";
    UNSUPPORTED_EXTENSION = 110, "unsupported_extension";
    CERTIFICATE_UNOBTAINABLE = 111, "certificate_unobtainable";
    UNRECOGNIZED_NAME = 112, "unrecognized_name";
    BAD_CERTIFICATE_STATUS_RESPONSE = 113, "bad_certificate_status_response";
    BAD_CERTIFICATE_HASH_VALUE = 114, "bad_certificate_hash_value";
    UNKNOWN_PSK_IDENTITY = 115, "unknown_psk_identity";
    NO_APPLICATION_PROTOCOL = 120, "no_application_protocol";
}

#[cfg(test)]
mod tests {
    use super::super::record::{DTLS_1_2, parse};
    use super::*;

    #[test]
    fn an_alert_has_two_bytes() {
        let alert = Alert { level: FATAL, description: HANDSHAKE_FAILURE };
        assert_eq!(Alert::parse(&[2, 40]), Some(alert));
        assert_eq!(alert.to_wire(), [2, 40]);
        assert!(alert.is_fatal() && !Alert { level: WARNING, ..alert }.is_fatal());
        for content in [&[][..], &[2], &[2, 40, 0]] {
            assert_eq!(Alert::parse(content), None);
        }
    }

    #[test]
    fn a_plaintext_alert_is_a_record_of_15_bytes() {
        let bytes = plaintext_alert(DTLS_1_2, RecordNumber::new(0, 7), INTERNAL_ERROR);
        assert_eq!(bytes.len(), 15);
        let (record, _) = parse(&bytes).unwrap();
        assert_eq!((record.content_type, record.number), (ContentType::Alert, RecordNumber::new(0, 7)));
        assert_eq!(record.fragment, [2, 80]);
    }

    #[test]
    fn descriptions_have_the_names_of_the_registry() {
        assert_eq!(name(UNEXPECTED_MESSAGE), Some("unexpected_message"));
        assert_eq!(name(120), Some("no_application_protocol"));
        assert_eq!(name(11), None);
    }
}
