//! Codes that prove that what arrived is what was sent, where a run asks for it (`--verify`).
//!
//! Keyed BLAKE3 over content and result of a file, with a key of this session that only ever travels over the
//! control plane. So a code can lie beside the content it protects: nobody on the path can make one.
//!
//! A large file comes in pieces over any stream in any order. Each piece has a code of its own that covers where it
//! belongs; they are added up, which needs no order and no memory, and the end of the file covers the sum. Nobody
//! without the key knows what he would have to add.

use blit_engine::fs::hash::Hash;

/// Length of a code, and of the key.
pub(crate) const CODE_BYTES: usize = 32;

const WHOLE: u8 = 1;
const PIECE: u8 = 2;
const END: u8 = 3;

/// The key of a session.
#[derive(Clone)]
pub(crate) struct Codes([u8; CODE_BYTES]);

/// The code of a piece while its bytes pass.
pub(crate) struct Passing(blake3::Hasher);

/// The codes of several pieces, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum([u64; 4]);

impl Codes {
    /// Takes a key; `None` if it has another length.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        key.try_into().ok().map(Self)
    }

    /// Returns the code of a file that goes whole, with its encoded result.
    pub(crate) fn whole(&self, id: u64, content: &[u8], result: &[u8]) -> Hash {
        let mut hasher = self.begin(WHOLE, id);
        hasher.update(&(content.len() as u64).to_be_bytes());
        hasher.update(content);
        hasher.update(result);
        *hasher.finalize().as_bytes()
    }

    /// Begins the code of a piece.
    pub(crate) fn piece(&self, id: u64, offset: u64, length: u32) -> Passing {
        let mut hasher = self.begin(PIECE, id);
        hasher.update(&offset.to_be_bytes());
        hasher.update(&length.to_be_bytes());
        Passing(hasher)
    }

    /// Returns the code of the end of a file that went in pieces, of `bytes` bytes in all.
    pub(crate) fn end(&self, id: u64, bytes: u64, sum: Sum, result: &[u8]) -> Hash {
        let mut hasher = self.begin(END, id);
        hasher.update(&bytes.to_be_bytes());
        for lane in sum.0 {
            hasher.update(&lane.to_be_bytes());
        }
        hasher.update(result);
        *hasher.finalize().as_bytes()
    }

    fn begin(&self, kind: u8, id: u64) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[kind]);
        hasher.update(&id.to_be_bytes());
        hasher
    }
}

impl From<[u8; CODE_BYTES]> for Codes {
    fn from(key: [u8; CODE_BYTES]) -> Self {
        Self(key)
    }
}

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codes")
    }
}

impl Passing {
    /// Adds bytes.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds the code to those of other pieces.
    pub(crate) fn add_to(&self, sum: &mut Sum) {
        let code = self.0.finalize();
        for (lane, bytes) in sum.0.iter_mut().zip(code.as_bytes().chunks_exact(8)) {
            let mut value = [0; 8];
            value.copy_from_slice(bytes);
            *lane = lane.wrapping_add(u64::from_be_bytes(value));
        }
    }
}

impl Sum {
    /// Returns what the end of a file covers. Content of a file that did not stay the same counts for nothing, and what was
    /// lost of it with a stream comes as zeros: then the end proves only itself.
    pub(crate) fn of_end(self, is_stable: bool) -> Self {
        if is_stable { self } else { Self::default() }
    }
}

/// Returns true if two codes are the same, in a time that does not tell where they differ.
pub(crate) fn same(one: &Hash, other: &Hash) -> bool {
    blake3::Hash::from_bytes(*one) == blake3::Hash::from_bytes(*other)
}

#[cfg(test)]
mod tests;
