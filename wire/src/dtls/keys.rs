//! From the master secret to the traffic keys: PRF (RFC 5246 section 5) and key block (section 6.3).

use super::aead::{Aead, NONCE};
use super::suite::{PrfHash, Suite};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// An end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that sent the ClientHello.
    Client,
    /// The end that sent the ServerHello.
    Server,
}

/// What a finished handshake leaves behind.
pub struct Secrets {
    /// Suite that the server has chosen.
    pub suite: Suite,
    /// Master secret, by RFC 5246 section 8.1 or RFC 7627 section 4.
    pub master: Zeroizing<[u8; 48]>,
    /// Random of the ClientHello.
    pub client_random: [u8; 32],
    /// Random of the ServerHello.
    pub server_random: [u8; 32],
}

impl Secrets {
    /// Takes the master secret and the randoms of the two hellos.
    pub fn new(suite: Suite, master: &[u8; 48], client_random: [u8; 32], server_random: [u8; 32]) -> Secrets {
        Secrets { suite, master: Zeroizing::new(*master), client_random, server_random }
    }
}

/// Key and implicit part of the nonce of one direction. Only the first bytes are used where the AEAD needs
/// fewer.
#[derive(Clone, Default)]
pub struct DirectionKeys {
    key: Zeroizing<[u8; 32]>,
    iv: [u8; NONCE],
}

impl DirectionKeys {
    /// Returns the key, as long as the AEAD needs it.
    #[inline]
    pub fn key(&self, aead: Aead) -> &[u8] {
        self.key.get(..aead.key_len()).unwrap_or(self.key.as_slice())
    }

    /// Returns the nonce of the record `number`: salt and number (RFC 5288 section 3, RFC 6655 section 3) or
    /// the mask with the number added (RFC 7905 section 2). `explicit` is the part that the record carries in
    /// the first case, the number of the record in the second: see [`super::aead::Sealed::explicit`].
    #[inline]
    pub fn nonce(&self, aead: Aead, explicit: [u8; 8]) -> [u8; NONCE] {
        let mut nonce = self.iv;
        let (_, tail) = nonce.split_at_mut(4);
        for (byte, add) in tail.iter_mut().zip(explicit) {
            *byte = if aead.explicit_len() == 0 { *byte ^ add } else { add };
        }
        nonce
    }
}

/// The traffic keys of both directions, as one end has them.
#[derive(Clone)]
pub struct Keys {
    /// What the keys are for.
    pub aead: Aead,
    /// Keys of the records that this end sends.
    pub write: DirectionKeys,
    /// Keys of the records that this end receives.
    pub read: DirectionKeys,
}

impl fmt::Debug for Keys {
    // Keys are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("aead", &self.aead).finish_non_exhaustive()
    }
}

impl Keys {
    /// Derives the keys of both directions for the end that has this role.
    pub fn derive(secrets: &Secrets, role: Role) -> Keys {
        let aead = secrets.suite.aead;
        let label = [b"key expansion".as_slice(), &secrets.server_random, &secrets.client_random].concat();
        // Two keys, two implicit nonces; an AEAD has no MAC keys (RFC 5246 section 6.2.3.3).
        let mut block = Zeroizing::new([0u8; 2 * (32 + NONCE)]);
        prf(secrets.suite.prf, secrets.master.as_slice(), &label, block.as_mut_slice());

        let (mut client, mut server) = (DirectionKeys::default(), DirectionKeys::default());
        let mut rest = block.as_slice();
        let fields = [
            (client.key.as_mut_slice(), aead.key_len()),
            (server.key.as_mut_slice(), aead.key_len()),
            (client.iv.as_mut_slice(), aead.iv_len()),
            (server.iv.as_mut_slice(), aead.iv_len()),
        ];
        for (field, length) in fields {
            let (part, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            field.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            rest = after;
        }
        match role {
            Role::Client => Keys { aead, write: client, read: server },
            Role::Server => Keys { aead, write: server, read: client },
        }
    }
}

fn prf(hash: PrfHash, secret: &[u8], label_and_seed: &[u8], out: &mut [u8]) {
    match hash {
        PrfHash::Sha256 => p_hash::<Hmac<Sha256>>(secret, label_and_seed, out),
        PrfHash::Sha384 => p_hash::<Hmac<Sha384>>(secret, label_and_seed, out),
    }
}

/// Fills `out` by P_hash (RFC 5246 section 5).
fn p_hash<M: Mac + KeyInit + Clone>(secret: &[u8], seed: &[u8], out: &mut [u8]) {
    // HMAC takes keys of any length, so this does not fail.
    let Ok(keyed) = <M as KeyInit>::new_from_slice(secret) else { return };
    let mut a = keyed.clone().chain_update(seed).finalize().into_bytes();
    for part in out.chunks_mut(M::output_size()) {
        let mut bytes = keyed.clone().chain_update(&a).chain_update(seed).finalize().into_bytes();
        part.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
        bytes.as_mut_slice().zeroize();
        a = keyed.clone().chain_update(&a).finalize().into_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
    }

    /// `openssl kdf -keylen 100 -kdfopt digest:... -kdfopt hexsecret:... -kdfopt hexseed:... TLS1-PRF`
    #[test]
    fn the_prf_agrees_with_openssl() {
        let secret = hex("9bbe436ba940f017b17652849a71db35");
        let seed = [b"test label".to_vec(), hex("a0ba9f936cda311827a6f796ffd5198c")].concat();
        for (hash, expected) in [
            (
                PrfHash::Sha256,
                "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af
                 0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701
                 87347b66",
            ),
            (
                PrfHash::Sha384,
                "dd88775cd827187b67a3f7652b5c13f715791cc46e0274a6d3fb16651103defc544cd8afb68369a219bb918b8b21ddb1
                 764af0a70339e6dec085e574f655851ba6925132 03536bdfc3675e53768210f0a2389dd324311a440c7c30ef44b391d9
                 14c3b0c7",
            ),
        ] {
            let mut out = [0; 100];
            prf(hash, &secret, &seed, &mut out);
            assert_eq!(out.as_slice(), hex(expected));
        }
    }

    #[test]
    fn the_ends_hold_the_same_keys_the_other_way_round() {
        for id in [0xcca9, 0xc02b, 0xc02c, 0xc0ae] {
            let secrets = Secrets::new(Suite::from_id(id).unwrap(), &[7; 48], [1; 32], [2; 32]);
            let (client, server) =
                (Keys::derive(&secrets, Role::Client), Keys::derive(&secrets, Role::Server));
            let aead = client.aead;
            assert_eq!(client.write.key(aead), server.read.key(aead));
            assert_eq!(client.read.iv, server.write.iv);
            assert_ne!(client.write.key(aead), client.read.key(aead));
            assert!(client.write.iv[..aead.iv_len()].iter().any(|b| *b != 0));
            assert!(client.write.iv[aead.iv_len()..].iter().all(|b| *b == 0));
        }
    }

    #[test]
    fn nonces_are_salt_and_number_or_mask_plus_number() {
        let keys =
            DirectionKeys { key: Zeroizing::new([0; 32]), iv: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] };
        let number = [0, 1, 0, 0, 0, 0, 0, 0xff];
        assert_eq!(keys.nonce(Aead::Aes128Gcm, number), [1, 2, 3, 4, 0, 1, 0, 0, 0, 0, 0, 0xff]);
        assert_eq!(
            keys.nonce(Aead::ChaCha20Poly1305, number),
            [1, 2, 3, 4, 5, 7, 7, 8, 9, 10, 11, 12 ^ 0xff]
        );
    }
}
