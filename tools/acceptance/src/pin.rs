//! Opening a voucher's PIN, from the contract's words alone: AES-256-GCM, the key's id and a nonce in front, the
//! target's id as associated data.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};

/// The key that encrypts PINs in tests: the bytes 0 to 31.
const KEY: [u8; 32] = {
    let mut key = [0; 32];
    let mut at = 0;
    while at < 32 {
        key[at] = at as u8;
        at += 1;
    }
    key
};
const KEY_ID: usize = 4;
const NONCE: usize = 12;

/// The key as its file holds it.
pub fn key_file() -> String {
    KEY.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The PIN in a column, or nothing when it does not open in this target's row.
pub fn open_pin(target: i64, column: &[u8]) -> Option<String> {
    let (nonce, sealed) = column.get(KEY_ID..)?.split_at_checked(NONCE)?;
    let cipher = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&KEY));
    let payload = Payload { msg: sealed, aad: &target.to_be_bytes() };
    String::from_utf8(cipher.decrypt(Nonce::from_slice(nonce), payload).ok()?).ok()
}
