//! Voucher PINs, encrypted at rest: AES-256-GCM with a random nonce, the key's id in front, and the target
//! id as associated data, so that a PIN moved to another row does not open.

use aes_gcm::aead::{Aead, AeadCore, OsRng, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use sha2::{Digest, Sha256};

use crate::domain::TargetId;
use crate::domain::outcome::Pin;

const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;

/// Encrypts and decrypts PINs under one key.
pub struct PinCipher {
    cipher: Aes256Gcm,
    key_id: [u8; KEY_ID_BYTES],
}

/// Why a PIN does not open, or a text is no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PinKeyError {
    /// The key is not 64 hexadecimal digits.
    #[error("a PIN key is 64 hexadecimal digits")]
    NotAKey,
    /// Encrypted under another key.
    #[error("this PIN was encrypted under another key")]
    OtherKey,
    /// Altered, cut, or moved from another row.
    #[error("this PIN was altered, or belongs to another row")]
    Altered,
}

impl PinCipher {
    /// A cipher from 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`PinKeyError::NotAKey`].
    pub fn from_hex(text: &str) -> Result<Self, PinKeyError> {
        let bytes = hex::decode(text.trim()).map_err(|_| PinKeyError::NotAKey)?;
        let cipher = Aes256Gcm::new_from_slice(&bytes).map_err(|_| PinKeyError::NotAKey)?;
        let digest = Sha256::digest(&bytes);
        let mut key_id = [0; KEY_ID_BYTES];
        key_id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Ok(Self { cipher, key_id })
    }

    /// Key id, nonce and ciphertext: what the column holds.
    pub fn seal(&self, target: TargetId, pin: &Pin) -> Vec<u8> {
        let nonce = Aes256Gcm::generate_nonce(&mut OsRng);
        let payload = Payload { msg: pin.0.as_bytes(), aad: &target.0.to_be_bytes() };
        let sealed = self.cipher.encrypt(&nonce, payload).expect("a PIN is far below the cipher's limit");
        [&self.key_id[..], &nonce, &sealed].concat()
    }

    /// The PIN in a column.
    ///
    /// # Errors
    /// [`PinKeyError::OtherKey`] or [`PinKeyError::Altered`].
    pub fn open(&self, target: TargetId, column: &[u8]) -> Result<Pin, PinKeyError> {
        if column.len() < KEY_ID_BYTES + NONCE_BYTES {
            return Err(PinKeyError::Altered);
        }
        let (key_id, rest) = column.split_at(KEY_ID_BYTES);
        let (nonce, sealed) = rest.split_at(NONCE_BYTES);
        if key_id != self.key_id {
            return Err(PinKeyError::OtherKey);
        }
        let payload = Payload { msg: sealed, aad: &target.0.to_be_bytes() };
        let pin = self.cipher.decrypt(Nonce::from_slice(nonce), payload).map_err(|_| PinKeyError::Altered)?;
        String::from_utf8(pin).map(Pin).map_err(|_| PinKeyError::Altered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_opens_only_in_its_own_row_and_under_its_own_key() {
        let cipher = PinCipher::from_hex(&"0f".repeat(32)).unwrap();
        let pin = Pin("1234-5678".into());
        let column = cipher.seal(TargetId(7), &pin);
        assert!(column.len() <= 128 && !column.windows(4).any(|bytes| bytes == b"1234"));
        assert_eq!(cipher.open(TargetId(7), &column), Ok(pin.clone()));
        assert_eq!(cipher.open(TargetId(8), &column), Err(PinKeyError::Altered));
        let other = PinCipher::from_hex(&"f0".repeat(32)).unwrap();
        assert_eq!(other.open(TargetId(7), &column), Err(PinKeyError::OtherKey));
        assert_ne!(cipher.seal(TargetId(7), &pin), column, "the nonce is random");
        assert_eq!(PinCipher::from_hex("0f").err(), Some(PinKeyError::NotAKey));
    }
}
