#!/usr/bin/env bash
# Versions: aes-gcm 0.10.3, chacha20poly1305 0.10.1, ccm 0.5.0 with aes 0.8.4 (crates.io).
#
# Question: one trait, AeadInPlace, opens a record in its own buffer. If the tag does not fit, what is in the buffer
# afterwards, for each of the suites of DTLS? A reader of captures that has several keys for an address tries one
# after the other.
#
# Guess: the ciphertext, untouched, for AES-GCM and ChaCha20-Poly1305, which check the tag first; what the wrong key
# made of it for CCM, whose tag is over the plaintext.
#
# What they do: AES-GCM and ChaCha20-Poly1305 leave the ciphertext, and the next key opens it. CCM fills the buffer
# with zeros, with tags of 8 and of 16 bytes, detached or not (the tag behind the text stays): the right key, tried
# second on the same buffer, fails too. `decrypt`, which allocates, is safe for all.
#
# What follows: who tries keys copies the record before each try, for all suites alike. That the tests pass with
# AES-GCM says nothing about CCM_8.
source "$(dirname "${BASH_SOURCE[0]}")/parts/setup.sh"

cat >"$dir/open.rs" <<'RS'
use aes_gcm::aead::{generic_array::GenericArray, AeadInPlace, KeyInit};
use ccm::consts::{U12, U16, U8};

fn holds(buffer: &[u8], sealed: &[u8], text: &[u8]) -> &'static str {
    let start = &buffer[..text.len()];
    if start == sealed {
        "ciphertext"
    } else if start == text {
        "plaintext"
    } else if start.iter().all(|byte| *byte == 0) {
        "zeros"
    } else {
        "something else"
    }
}

fn open<A: AeadInPlace + KeyInit>(name: &str) {
    let right = A::new(&GenericArray::clone_from_slice(&vec![1; A::key_size()]));
    let wrong = A::new(&GenericArray::clone_from_slice(&vec![2; A::key_size()]));
    let (nonce, text) = (GenericArray::default(), b"a message of more than one block of sixteen bytes");
    let mut sealed = text.to_vec();
    let tag = right.encrypt_in_place_detached(&nonce, b"head", &mut sealed).unwrap();

    let mut buffer = sealed.clone();
    assert!(wrong.decrypt_in_place_detached(&nonce, b"head", &mut buffer, &tag).is_err());
    let after = holds(&buffer, &sealed, text);
    let second = right.decrypt_in_place_detached(&nonce, b"head", &mut buffer, &tag).is_ok() && buffer == text;
    println!("{name} detached: {after}, the right key opens it: {second}");

    let mut buffer = [&sealed[..], &tag[..]].concat();
    assert!(wrong.decrypt_in_place(&nonce, b"head", &mut buffer).is_err());
    let after = holds(&buffer, &sealed, text);
    let keeps_tag = buffer[text.len()..] == tag[..];
    let second = right.decrypt_in_place(&nonce, b"head", &mut buffer).is_ok() && buffer == text;
    println!("{name} in place: {after}, tag kept: {keeps_tag}, the right key opens it: {second}");
}

fn main() {
    open::<aes_gcm::Aes128Gcm>("gcm");
    open::<chacha20poly1305::ChaCha20Poly1305>("chacha20");
    open::<ccm::Ccm<aes::Aes128, U8, U12>>("ccm_8");
    open::<ccm::Ccm<aes::Aes128, U16, U12>>("ccm_16");
}
RS
cargo_program open 'aes-gcm = "=0.10.3"' 'chacha20poly1305 = "=0.10.1"' 'ccm = "=0.5.0"' 'aes = "=0.8.4"'
"$dir/open" >"$dir/open.out"
for name in gcm chacha20; do
  seen "$name detached: ciphertext, the right key opens it: true" "$dir/open.out"
  seen "$name in place: ciphertext, tag kept: true, the right key opens it: true" "$dir/open.out"
done
for name in ccm_8 ccm_16; do
  seen "$name detached: zeros, the right key opens it: false" "$dir/open.out"
  seen "$name in place: zeros, tag kept: true, the right key opens it: false" "$dir/open.out"
done
echo "as described"
