//! As much of DER as it takes to read a certificate's validity and public key (RFC 5280, section 4.1).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The explicit tag of a certificate's version.
const VERSION: u8 = 0xa0;
/// 1.2.840.113549.1.1.1, rsaEncryption.
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// What is read of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read<'a> {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// PKCS #1, if it is an RSA key.
    pub rsa_key: Option<&'a [u8]>,
}

/// Reads a certificate; `None` if it isn't one.
pub(super) fn certificate(der: &[u8]) -> Option<Read<'_>> {
    let (whole, _) = expect(SEQUENCE, der)?;
    let (mut fields, _) = expect(SEQUENCE, whole)?;
    if fields.first() == Some(&VERSION) {
        fields = expect(VERSION, fields)?.1;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        fields = expect(tag, fields)?.1;
    }
    let (validity, fields) = expect(SEQUENCE, fields)?;
    let (_subject, fields) = expect(SEQUENCE, fields)?;
    let (key, _) = expect(SEQUENCE, fields)?;
    let (not_before, validity) = time(validity)?;
    let (not_after, _) = time(validity)?;
    Some(Read { not_before, not_after, rsa_key: rsa_key(key) })
}

fn rsa_key(info: &[u8]) -> Option<&[u8]> {
    let (algorithm, info) = expect(SEQUENCE, info)?;
    let (id, _) = expect(OBJECT_ID, algorithm)?;
    let (bits, _) = expect(BIT_STRING, info)?;
    // The first byte counts the unused bits of the last one.
    (id == RSA).then_some(bits.strip_prefix(&[0])?)
}

fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (tag, text, rest) = element(der)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let whole = match tag {
        // Years of two digits: 1950 to 2049.
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let civil = DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    Some((civil.to_zoned(TimeZone::UTC).ok()?.timestamp(), rest))
}

/// The content of an element that has this tag, and what follows it.
fn expect(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of the first element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, der) = der.split_first()?;
    let (&first, der) = der.split_first()?;
    let (length, der) = match first {
        0..=0x7f => (usize::from(first), der),
        // More than three bytes of length would be a certificate of 16 MiB.
        0x81..=0x83 => {
            let (bytes, der) = der.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), der)
        }
        _ => return None,
    };
    let (content, rest) = der.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd};

    use super::*;

    #[test]
    fn reads_what_rcgen_writes() {
        for (algorithm, until, is_rsa) in [(&PKCS_RSA_SHA256, 2049, true), (&PKCS_ECDSA_P256_SHA256, 2051, false)] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
            params.not_before = date_time_ymd(1999, 12, 31);
            params.not_after = date_time_ymd(until, 1, 2);
            let certificate = params.self_signed(&key).unwrap();
            let read = super::certificate(certificate.der()).unwrap();
            assert_eq!(read.not_before.to_string(), "1999-12-31T00:00:00Z");
            assert_eq!(read.not_after.to_string(), format!("{until}-01-02T00:00:00Z"));
            assert_eq!(read.rsa_key, is_rsa.then(|| key.public_key_raw()));
            for end in 0..certificate.der().len() {
                let _ = super::certificate(&certificate.der()[..end]);
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = certificate(&bytes);
            bytes.splice(0..0, [0x30, 0x81, 0xff, 0x30, 0x81, 0xf0]);
            let _ = certificate(&bytes);
        }
    }
}
