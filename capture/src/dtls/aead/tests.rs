//! Records of each AEAD, without and with a Connection ID, sealed by OpenSSL 3 through Python's
//! `cryptography`, with keys by Python's `hmac`. Bytes of the master secret are 7, of the client's random 1,
//! of the server's 2; the client has sent them.

use super::*;
use lowband_wire::dtls::record::parse_with_id;
use lowband_wire::dtls::suite::Suite;

const PLAINTEXT: &[u8] = b"the plaintext of a record, of more than two blocks";

/// Number of the suite, length of the Connection ID, record.
#[rustfmt::skip]
const SEALED: [(u16, usize, &str); 14] = [
    (0xc02b, 0,
     "17fefd0001000000000105004a0001000000000105558146a56cc7d808ad88f622b53854f522d4c47ebddcc5f0fc\
      c324a0993286c65310e736d7357452f151ffbab84e02e76069b7a19cba88cd455f04546e215cf74598"),
    (0xc02c, 0,
     "17fefd0001000000000105004a0001000000000105fcf1d731383d1934303fcf6fca6978c1353d41521dbbe8f8e3\
      00e8a6823f22647bdf669c2fc542ca684601539a1b55a6be844b9abd5df754483b7b4cd6bd04f6da23"),
    (0xc0ac, 0,
     "17fefd0001000000000105004a0001000000000105a4367577707c96e6ce92df9858dd90cbf8320cd42ef44398e5\
      5875f6a81b20204d37ee354a0a188e2b083cf282800ec918775abf73f2189ea6e33a82565963d61a7f"),
    (0xc0ad, 0,
     "17fefd0001000000000105004a000100000000010526bda56215c9a8a4891e596051c82e5e4a8062c62b190745eb\
      6cb1d1120440c097c27dcd7f5d950332934caf8b4a2e023f61f6177815fc3203cf37a56fa1dd73a6a0"),
    (0xc0ae, 0,
     "17fefd000100000000010500420001000000000105a4367577707c96e6ce92df9858dd90cbf8320cd42ef44398e5\
      5875f6a81b20204d37ee354a0a188e2b083cf282800ec9187763e8558eb063ff8d"),
    (0xc0af, 0,
     "17fefd00010000000001050042000100000000010526bda56215c9a8a4891e596051c82e5e4a8062c62b190745eb\
      6cb1d1120440c097c27dcd7f5d950332934caf8b4a2e023f6174f4c9ee5c992fd4"),
    (0xcca9, 0,
     "17fefd00010000000001050042ee8e6048b61fb97b81d179d93dd9db6d52e52ae3a97b02bf9af9045bf2ecbf0163\
      7862cf52f5994faf7a3070c9f06d527d6d35f08a7e1816bd4ecab3b84896a4d989"),
    (0xc02b, 2,
     "19fefd00010000000001056964004e0001000000000105558146a56cc7d808ad88f622b53854f522d4c47ebddcc5\
      f0fcc324a0993286c65310e736d7357452f151ffbab84e02e76069dc77909ce10d46d208f93b591ac0bdd0171905\
      ed"),
    (0xc02c, 2,
     "19fefd00010000000001056964004e0001000000000105fcf1d731383d1934303fcf6fca6978c1353d41521dbbe8\
      f8e300e8a6823f22647bdf669c2fc542ca684601539a1b55a6be84fec35161db498deb99de864a4df6f36bc82c56\
      2c"),
    (0xc0ac, 2,
     "19fefd00010000000001056964004e0001000000000105a4367577707c96e6ce92df9858dd90cbf8320cd42ef443\
      98e55875f6a81b20204d37ee354a0a188e2b083cf282800ec918779a96e72c4e04dace6ff8ab39f4c8b6389dce33\
      18"),
    (0xc0ad, 2,
     "19fefd00010000000001056964004e000100000000010526bda56215c9a8a4891e596051c82e5e4a8062c62b1907\
      45eb6cb1d1120440c097c27dcd7f5d950332934caf8b4a2e023f61cf4d6b99ad26e56cd3e249b2b9da2cd943ee64\
      e5"),
    (0xc0ae, 2,
     "19fefd0001000000000105696400460001000000000105a4367577707c96e6ce92df9858dd90cbf8320cd42ef443\
      98e55875f6a81b20204d37ee354a0a188e2b083cf282800ec918779a96e72ca09e1145f47e5ab6"),
    (0xc0af, 2,
     "19fefd000100000000010569640046000100000000010526bda56215c9a8a4891e596051c82e5e4a8062c62b1907\
      45eb6cb1d1120440c097c27dcd7f5d950332934caf8b4a2e023f61cf4d6b99189bcb80b12cf021"),
    (0xcca9, 2,
     "19fefd000100000000010569640046ee8e6048b61fb97b81d179d93dd9db6d52e52ae3a97b02bf9af9045bf2ecbf\
      01637862cf52f5994faf7a3070c9f06d527d6d0e1d63b7cfb5a0614a269a02234ff38bb43dee24"),
];

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
        .collect()
}

fn openers(suite: u16) -> Openers {
    let suite = Suite::from_id(suite).unwrap();
    Openers::derive(&Secrets::new(suite, &[7; 48], [1; 32], [2; 32])).unwrap()
}

fn open(opener: &Opener, id_length: usize, record: &[u8], out: &mut Vec<u8>) -> bool {
    parse_with_id(record, id_length).is_ok_and(|(record, _)| opener.open(&record, out))
}

#[test]
fn a_record_that_openssl_sealed_opens_in_each_aead() {
    for (suite, id_length, record) in SEALED {
        let (openers, mut out) = (openers(suite), vec![1]);
        assert!(open(&openers.up, id_length, &hex(record), &mut out), "{suite:#x}");
        let expected = if id_length > 0 { [PLAINTEXT, b"\x17\0\0\0"].concat() } else { PLAINTEXT.to_vec() };
        assert_eq!(out, expected, "{suite:#x}");
        assert!(!open(&openers.down, id_length, &hex(record), &mut out), "{suite:#x} of the server");
    }
}

#[test]
fn a_record_changed_or_cut_at_any_byte_does_not_open() {
    let mut out = Vec::new();
    for (suite, id_length, record) in SEALED {
        let (openers, record) = (openers(suite), hex(record));
        let length_at = 11 + id_length;
        for at in 0..record.len() {
            let mut forged = record.clone();
            forged[at] ^= 0x10;
            assert!(!open(&openers.up, id_length, &forged, &mut out), "{suite:#x} byte {at}");
            let mut cut = record[..at].to_vec();
            if let Some(length) = cut.len().checked_sub(length_at + 2) {
                cut[length_at..length_at + 2].copy_from_slice(&(length as u16).to_be_bytes());
            }
            assert!(!open(&openers.up, id_length, &cut, &mut out), "{suite:#x} cut at {at}");
        }
        let mut other = record.clone();
        other[0] = 22;
        assert!(
            id_length > 0 || !open(&openers.up, id_length, &other, &mut out),
            "{suite:#x} of another type"
        );
    }
}
