//! Proof by certificate: an assertion that we sign ourselves, as Microsoft's documentation of certificate credentials
//! has it (PS256, `x5t#S256`). azure_identity's own would need OpenSSL.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair, RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::{PemObject, SectionKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::config::Certificate;
use super::der;

/// How long an assertion holds: Microsoft's documentation asks for five to ten minutes at most.
const HOLDS: SignedDuration = SignedDuration::from_mins(5);
/// Clocks differ: the assertion holds from this long ago.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(1);

/// Why a certificate proves nothing. Never holds any of it.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {fault}")]
pub(super) struct CertificateError {
    place: String,
    pub fault: Fault,
}

/// What is wrong with a certificate or its key, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the file can't be read: {0}; check that it is mounted there")]
    Unreadable(String),
    #[error(
        "that is no PEM text: put the certificate and its private key there as PEM; a PFX is turned into one by \
         `openssl pkcs12 -in FILE.pfx -nodes -out FILE.pem`"
    )]
    NotPem,
    #[error(
        "the private key is encrypted: put it there without a password, as `openssl pkey -in FILE -out NEW` writes it"
    )]
    Encrypted,
    #[error("there is no private key beside the certificate: add its PRIVATE KEY block")]
    NoKey,
    #[error("there is a private key but no certificate: add its CERTIFICATE block")]
    NoCertificate,
    #[error("the private key is no RSA key of 2048 bits or more, which Entra asks for: make a certificate with one")]
    NotRsa,
    #[error("a CERTIFICATE block can't be read as an X.509 certificate: put the file there as it was given out")]
    Garbled,
    #[error("the private key is that of another certificate: put certificate and key of one pair there")]
    Mismatch,
    #[error("the certificate has expired at {0}: put a new one there and register it on the application")]
    Expired(Timestamp),
    #[error("the certificate isn't valid before {0}: wait for that, or check this machine's clock")]
    NotYet(Timestamp),
}

/// A private key and the thumbprint of its certificate.
struct Pair {
    key: RsaKeyPair,
    thumbprint: String,
}

/// An assertion that the client is who it says.
///
/// `audience` is the token endpoint.
pub(super) async fn assertion(
    certificate: &Certificate,
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> Result<String, CertificateError> {
    let (place, pem) = match certificate {
        Certificate::Pem { place, pem } => (place.clone(), Ok(pem.clone())),
        Certificate::File(path) => {
            let bytes = tokio::fs::read(path).await.map_err(|error| Fault::Unreadable(error.to_string()));
            let text = bytes.map(|bytes| SecretString::from(String::from_utf8_lossy(&bytes).into_owned()));
            (format!("AZURE_CLIENT_CERTIFICATE_PATH={}", path.display()), text)
        }
    };
    let signed = pem.and_then(|pem| sign(&pair(pem.expose_secret(), now)?, client_id, audience, now));
    signed.map_err(|fault| CertificateError { place, fault })
}

/// Finds the key and its certificate, wherever in the text they are.
fn pair(pem: &str, now: Timestamp) -> Result<Pair, Fault> {
    // The blocks of PKCS #8 and of PKCS #1.
    if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Fault::Encrypted);
    }
    let (mut key, mut certificates) = (None, Vec::new());
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
        let (kind, der) = section.map_err(|_| Fault::NotPem)?;
        match kind {
            SectionKind::Certificate => certificates.push(der),
            SectionKind::PrivateKey => key = Some(RsaKeyPair::from_pkcs8(&der)),
            SectionKind::RsaPrivateKey => key = Some(RsaKeyPair::from_der(&der)),
            SectionKind::EcPrivateKey => return Err(Fault::NotRsa),
            _ => {}
        }
    }
    let key = match (key, certificates.is_empty()) {
        (None, true) => return Err(Fault::NotPem),
        (None, false) => return Err(Fault::NoKey),
        (Some(_), true) => return Err(Fault::NoCertificate),
        (Some(key), false) => key.map_err(|_| Fault::NotRsa)?,
    };
    for certificate in &certificates {
        let read = der::certificate(certificate).ok_or(Fault::Garbled)?;
        if read.rsa_key != Some(key.public_key().as_ref()) {
            continue;
        }
        if read.not_after <= now {
            return Err(Fault::Expired(read.not_after));
        }
        if read.not_before > now + CLOCKS_DIFFER {
            return Err(Fault::NotYet(read.not_before));
        }
        return Ok(Pair { key, thumbprint: URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate)) });
    }
    Err(Fault::Mismatch)
}

fn sign(pair: &Pair, client_id: &str, audience: &str, now: Timestamp) -> Result<String, Fault> {
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": pair.thumbprint});
    let claims = json!({
        "aud": audience, "iss": client_id, "sub": client_id, "jti": uuid::Uuid::new_v4().to_string(),
        "iat": now.as_second(), "nbf": (now - CLOCKS_DIFFER).as_second(), "exp": (now + HOLDS).as_second(),
    });
    let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let body = format!("{}.{}", encode(&header), encode(&claims));
    let mut signature = vec![0; pair.key.public_modulus_len()];
    let signed = pair.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), body.as_bytes(), &mut signature);
    signed.map_err(|_| Fault::NotRsa)?;
    Ok(format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd};
    use serde_json::Value;

    use super::*;

    const NOW: &str = "2026-11-23T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn rsa() -> KeyPair {
        KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap()
    }

    fn issued(key: &KeyPair, from: i32, until: i32) -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["app".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        params.self_signed(key).unwrap()
    }

    /// PKCS #1 out of PKCS #8, whose last part it is: INTEGER, algorithm, OCTET STRING.
    fn pkcs1(key: &KeyPair) -> String {
        let der = key.serialize_der();
        let at = der.windows(3).skip(10).position(|bytes| bytes[..2] == [0x30, 0x82]).unwrap() + 10;
        block("RSA PRIVATE KEY", &der[at..])
    }

    fn block(label: &str, der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    #[tokio::test]
    async fn signs_what_entra_asks_for() {
        let key = rsa();
        let (mine, other) = (issued(&key, 2026, 2027), issued(&rsa(), 2026, 2027));
        for pem in [
            format!("{}{}", mine.pem(), key.serialize_pem()),
            format!("{}{}{}", key.serialize_pem(), other.pem(), mine.pem()),
            format!("Bag Attributes\n  localKeyID: 1\n{}\n{}", pkcs1(&key), mine.pem()),
        ] {
            let certificate = Certificate::Pem { place: "here".to_owned(), pem: pem.into() };
            let token = assertion(&certificate, "client", "https://login/t/oauth2/v2.0/token", now()).await.unwrap();
            let (body, signature) = token.rsplit_once('.').unwrap();
            let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key.public_key_raw());
            public.verify(body.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
            let parts: Vec<Value> = body
                .split('.')
                .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
                .collect();
            let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, mine.der()));
            assert_eq!(parts[0], json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
            let second = now().as_second();
            assert_eq!(parts[1]["aud"], "https://login/t/oauth2/v2.0/token");
            assert_eq!((&parts[1]["iss"], &parts[1]["sub"]), (&json!("client"), &json!("client")));
            assert_eq!((&parts[1]["nbf"], &parts[1]["exp"]), (&json!(second - 60), &json!(second + 300)));
            assert_eq!(parts[1]["jti"].as_str().unwrap().len(), 36);
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_certificate() {
        let (key, other) = (rsa(), rsa());
        let elliptic = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let good = issued(&key, 2026, 2027).pem();
        let with = |certificate: String, key: &str| format!("{certificate}{key}");
        let private = key.serialize_pem();
        let rows = [
            (String::new(), "no PEM text"),
            ("\u{fffd}0\u{fffd}".to_owned(), "openssl pkcs12"),
            ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----".to_owned(), "no PEM text"),
            (good.clone(), "no private key beside"),
            (private.clone(), "no certificate"),
            (with(good.clone(), &block("ENCRYPTED PRIVATE KEY", b"x")), "is encrypted"),
            (
                with(good.clone(), "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A\n\nAA==\n"),
                "is encrypted",
            ),
            (with(issued(&elliptic, 2026, 2027).pem(), &elliptic.serialize_pem()), "no RSA key"),
            (with(good.clone(), &block("EC PRIVATE KEY", b"x")), "no RSA key"),
            (with(good.clone(), &block("PRIVATE KEY", b"x")), "no RSA key"),
            (with(block("CERTIFICATE", b"x"), &private), "can't be read as an X.509"),
            (with(good.clone(), &other.serialize_pem()), "of another certificate"),
            (with(issued(&key, 2025, 2026).pem(), &private), "has expired at 2026-01-01T00:00:00Z"),
            (with(issued(&key, 2027, 2028).pem(), &private), "isn't valid before 2027-01-01T00:00:00Z"),
        ];
        for (pem, expected) in rows {
            let fault = pair(&pem, now()).err().map(|fault| fault.to_string());
            assert!(fault.as_ref().is_some_and(|fault| fault.contains(expected)), "{expected}: {fault:?}");
        }
    }

    #[tokio::test]
    async fn names_the_place() {
        let missing = Certificate::File("/nonexistent/sp.pem".into());
        let error = assertion(&missing, "c", "a", now()).await.unwrap_err().to_string();
        assert!(
            error.starts_with("AZURE_CLIENT_CERTIFICATE_PATH=/nonexistent/sp.pem: the file can't be read"),
            "{error}"
        );
        let pem = Certificate::Pem { place: "Secret a/b, key K".to_owned(), pem: "hush".to_owned().into() };
        let error = assertion(&pem, "c", "a", now()).await.unwrap_err().to_string();
        assert!(error.starts_with("Secret a/b, key K: that is no PEM") && !error.contains("hush"), "{error}");
    }
}
