//! Digests of content: reading while hashing.
//!
//! Invariant: a [`Hashing`] reader has hashed exactly the bytes that it gave.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::ImageError;

/// Hashes what passes through it.
pub(super) struct Hashing<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Hashing<R> {
    pub fn new(input: R) -> Self {
        Hashing { input, hash: Sha256::new() }
    }

    /// Reads what is left, at most so many bytes, and answers the digest of the whole, and the reader below.
    pub fn finish(mut self, most: u64) -> io::Result<(String, R)> {
        io::copy(&mut (&mut self).take(most), &mut io::sink())?;
        Ok((text(&self.hash.finalize()), self.input))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

/// The digest of some bytes, `sha256:…`.
pub(super) fn of(bytes: &[u8]) -> String {
    text(&Sha256::digest(bytes))
}

fn text(hash: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in hash {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The 64 hexadecimal digits of a digest that is one; they are safe as a file's name.
pub(super) fn hex(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:")?;
    is_hex(hex).then_some(hex)
}

/// Whether a text is 64 hexadecimal digits in lower case.
pub(super) fn is_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Refuses content that is not what its name says.
pub(super) fn check(object: &str, expected: &str, found: &str) -> Result<(), ImageError> {
    if expected == found {
        return Ok(());
    }
    Err(ImageError::Digest {
        object: object.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}
