use nix::sys::socket::sockopt::TlsCryptoInfo;
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::crypto::cipher::{AeadKey, Iv};

use super::{Cipher, crypto_info};

const IV: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn key() -> AeadKey {
    AeadKey::from([7; 32])
}

#[test]
fn the_ciphers_of_tls_1_3_are_those_of_the_kernel_each_with_its_limit() {
    let of = |suite| Cipher::of(suite);
    let aes = |cipher| Some((cipher, 1 << 24));
    let (aes_128, aes_256) = (Cipher::Aes128Gcm, Cipher::Aes256Gcm);
    assert_eq!(of(cipher_suite::TLS13_AES_128_GCM_SHA256), aes(aes_128));
    assert_eq!(of(cipher_suite::TLS13_AES_256_GCM_SHA384), aes(aes_256));
    let chacha = Some((Cipher::Chacha20Poly1305, u64::MAX));
    let suite = cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
    assert_eq!(of(suite), chacha);
    let of_tls_1_2 = cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
    assert_eq!(of(of_tls_1_2), None);
}

#[test]
fn of_aes_the_vector_is_cut_in_two_and_the_sequence_is_big_endian() {
    let iv = Iv::new(IV);
    let secrets = ConnectionTrafficSecrets::Aes256Gcm { key: key(), iv };
    let Some(TlsCryptoInfo::Aes256Gcm(info)) = crypto_info(&(258, secrets)) else {
        panic!("another cipher");
    };
    assert_eq!((info.info.version, info.info.cipher_type), (0x0304, 52));
    assert_eq!(
        (info.salt, info.iv),
        ([1, 2, 3, 4], [5, 6, 7, 8, 9, 10, 11, 12])
    );
    assert_eq!(
        (info.key, info.rec_seq),
        ([7; 32], [0, 0, 0, 0, 0, 0, 1, 2])
    );
}

#[test]
fn of_chacha20_it_is_whole() {
    let iv = Iv::new(IV);
    let secrets = ConnectionTrafficSecrets::Chacha20Poly1305 { key: key(), iv };
    let Some(TlsCryptoInfo::Chacha20Poly1305(info)) = crypto_info(&(1, secrets)) else {
        panic!("another cipher");
    };
    assert_eq!((info.info.version, info.info.cipher_type), (0x0304, 54));
    assert_eq!((info.iv, info.rec_seq), (IV, [0, 0, 0, 0, 0, 0, 0, 1]));
}

#[test]
fn a_key_of_a_length_that_the_cipher_does_not_have_is_not_handed_over() {
    let iv = Iv::new(IV);
    // Of 32 bytes, where it takes 16.
    let secrets = ConnectionTrafficSecrets::Aes128Gcm { key: key(), iv };
    assert!(crypto_info(&(1, secrets)).is_none());
}
