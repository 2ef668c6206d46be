//! Certificates, as much as is read of them.

use crate::der::certificate;

/// The input is a certificate in DER.
pub fn check(data: &[u8]) {
    let Some(read) = certificate(data) else { return };
    // The key is a part of the input, and what follows the certificate doesn't matter.
    if let Some(key) = read.rsa_key {
        assert!(data.windows(key.len().max(1)).any(|part| part.starts_with(key)));
    }
    let longer = [data, &[0x30, 0x82, 0xff]].concat();
    assert_eq!(certificate(&longer).as_ref(), Some(&read));
    let years = |time: jiff::Timestamp| time.to_string();
    assert!(years(read.not_before).ends_with('Z') && years(read.not_after).ends_with('Z'));
}
