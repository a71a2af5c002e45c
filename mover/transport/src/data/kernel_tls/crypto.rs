//! The keys of a connection in the shape that the kernel takes them (linux/tls.h).

use libc::{
    TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_256, TLS_CIPHER_CHACHA20_POLY1305,
    tls_crypto_info, tls12_crypto_info_aes_gcm_128, tls12_crypto_info_aes_gcm_256,
    tls12_crypto_info_chacha20_poly1305,
};
use nix::sys::socket::sockopt::TlsCryptoInfo;
use rustls::{CipherSuite, ConnectionTrafficSecrets, SupportedCipherSuite};

/// A cipher that the kernel may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    Chacha20Poly1305,
}

impl Cipher {
    /// Returns the cipher of a suite of TLS 1.3, and how many records one key of it may encrypt.
    pub(super) fn of(suite: SupportedCipherSuite) -> Option<(Self, u64)> {
        let common = &suite.tls13()?.common;
        let cipher = match common.suite {
            CipherSuite::TLS13_AES_128_GCM_SHA256 => Self::Aes128Gcm,
            CipherSuite::TLS13_AES_256_GCM_SHA384 => Self::Aes256Gcm,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => Self::Chacha20Poly1305,
            _ => return None,
        };
        Some((cipher, common.confidentiality_limit))
    }

    /// Returns a key that protects nothing.
    pub(super) fn trial_key(self) -> TlsCryptoInfo {
        match self {
            Self::Aes128Gcm => aes_128(0, [1; 16], [2; 12]),
            Self::Aes256Gcm => aes_256(0, [1; 32], [2; 12]),
            Self::Chacha20Poly1305 => chacha20(0, [1; 32], [2; 12]),
        }
    }
}

/// Returns a key with the number of the next record; `None` for a cipher that the kernel cannot have.
pub(super) fn crypto_info(
    (sequence, secrets): &(u64, ConnectionTrafficSecrets),
) -> Option<TlsCryptoInfo> {
    Some(match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => aes_128(
            *sequence,
            key.as_ref().try_into().ok()?,
            iv.as_ref().try_into().ok()?,
        ),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => aes_256(
            *sequence,
            key.as_ref().try_into().ok()?,
            iv.as_ref().try_into().ok()?,
        ),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => chacha20(
            *sequence,
            key.as_ref().try_into().ok()?,
            iv.as_ref().try_into().ok()?,
        ),
        _ => return None,
    })
}

fn aes_128(sequence: u64, key: [u8; 16], iv: [u8; 12]) -> TlsCryptoInfo {
    let (salt, iv) = halves(iv);
    TlsCryptoInfo::Aes128Gcm(tls12_crypto_info_aes_gcm_128 {
        info: info(TLS_CIPHER_AES_GCM_128),
        iv,
        key,
        salt,
        rec_seq: sequence.to_be_bytes(),
    })
}

fn aes_256(sequence: u64, key: [u8; 32], iv: [u8; 12]) -> TlsCryptoInfo {
    let (salt, iv) = halves(iv);
    TlsCryptoInfo::Aes256Gcm(tls12_crypto_info_aes_gcm_256 {
        info: info(TLS_CIPHER_AES_GCM_256),
        iv,
        key,
        salt,
        rec_seq: sequence.to_be_bytes(),
    })
}

fn chacha20(sequence: u64, key: [u8; 32], iv: [u8; 12]) -> TlsCryptoInfo {
    TlsCryptoInfo::Chacha20Poly1305(tls12_crypto_info_chacha20_poly1305 {
        info: info(TLS_CIPHER_CHACHA20_POLY1305),
        iv,
        key,
        salt: [],
        rec_seq: sequence.to_be_bytes(),
    })
}

fn info(cipher_type: u16) -> tls_crypto_info {
    tls_crypto_info {
        version: TLS_1_3_VERSION,
        cipher_type,
    }
}

/// The kernel keeps the beginning of what TLS 1.3 calls the vector apart, as it was with TLS 1.2.
fn halves(iv: [u8; 12]) -> ([u8; 4], [u8; 8]) {
    let [a, b, c, d, rest @ ..] = iv;
    ([a, b, c, d], rest)
}

#[cfg(test)]
mod tests;
