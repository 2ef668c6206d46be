//! Tokens: made and opened here (HMAC), and other issuers' assertions checked by their public keys.

use crate::dice::sign;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use serde_json::{Value, json};

/// Make an access token with `claims`.
pub fn seal(claims: &Value, key: &[u8]) -> String {
    let header = json!({"typ": "JWT", "alg": "HS256", "kid": "azure-sim"});
    let body = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    let mac = sign(key, body.as_bytes());
    format!("{body}.{}", B64.encode(mac))
}

/// The claims of a token that [`seal`] made with `key`.
pub fn open(token: &str, key: &[u8]) -> Option<Value> {
    let (body, mac) = token.rsplit_once('.')?;
    if B64.decode(mac).ok()? != sign(key, body.as_bytes()) {
        return None;
    }
    serde_json::from_slice(&B64.decode(body.split_once('.')?.1).ok()?).ok()
}

/// Two audiences that mean one resource: a slash at the end and case don't count.
pub fn same_resource(a: &str, b: &str) -> bool {
    a.trim_end_matches('/').eq_ignore_ascii_case(b.trim_end_matches('/'))
}

/// A foreign token taken apart, its signature unchecked.
pub struct Assertion {
    signed: String,
    signature: Vec<u8>,
    /// JOSE header.
    pub header: Value,
    /// Claims.
    pub claims: Value,
}

impl Assertion {
    /// Take a compact JWS apart.
    pub fn parse(token: &str) -> Option<Self> {
        let (signed, signature) = token.trim().rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice(&B64.decode(part).ok()?).ok();
        Some(Self {
            signed: signed.into(),
            signature: B64.decode(signature).ok()?,
            header: json(header)?,
            claims: json(claims)?,
        })
    }

    /// True when a key of `jwks` (RS256 or ES256) made the signature.
    pub fn signed_by(&self, jwks: &Value) -> bool {
        let keys = jwks["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wanted = self.header["kid"].as_str();
        keys.iter()
            .filter(|k| wanted.is_none() || k["kid"].is_null() || k["kid"].as_str() == wanted)
            .any(|k| self.verifies(k).unwrap_or(false))
    }

    /// True when the key with this DER (SubjectPublicKeyInfo, RSA) made the signature, by PS256 or RS256.
    pub fn signed_with(&self, key: &[u8]) -> bool {
        let algorithm = match self.header["alg"].as_str() {
            Some("PS256") => &RSA_PSS_2048_8192_SHA256,
            Some("RS256") => &RSA_PKCS1_2048_8192_SHA256,
            _ => return false,
        };
        UnparsedPublicKey::new(algorithm, key).verify(self.signed.as_bytes(), &self.signature).is_ok()
    }

    fn verifies(&self, key: &Value) -> Option<bool> {
        let part = |name: &str| B64.decode(key[name].as_str()?).ok();
        let message = self.signed.as_bytes();
        Some(match self.header["alg"].as_str()? {
            "RS256" => RsaPublicKeyComponents { n: part("n")?, e: part("e")? }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, &self.signature)
                .is_ok(),
            "ES256" => {
                let point = [vec![4], part("x")?, part("y")?].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, &self.signature).is_ok()
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };

    #[test]
    fn our_tokens_open_with_our_key_only() {
        let token = seal(&json!({"aud": "x"}), b"key");
        assert_eq!(open(&token, b"key").unwrap()["aud"], "x");
        assert!(open(&token, b"other").is_none());
        assert!(open("nonsense", b"key").is_none());
    }

    #[test]
    fn assertions_are_checked_by_the_issuers_key() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let body = format!(
            "{}.{}",
            B64.encode(json!({"alg": "ES256", "kid": "1"}).to_string()),
            B64.encode(json!({"iss": "i"}).to_string())
        );
        let signature = pair.sign(&SystemRandom::new(), body.as_bytes()).unwrap();
        let token = format!("{body}.{}", B64.encode(signature.as_ref()));
        let point = pair.public_key().as_ref();
        let key = |x: &[u8]| json!({"keys": [{"kid": "1", "x": B64.encode(x), "y": B64.encode(&point[33..])}]});
        let assertion = Assertion::parse(&token).unwrap();
        assert!(assertion.signed_by(&key(&point[1..33])));
        assert!(!assertion.signed_by(&key(&point[33..])));
        assert!(!assertion.signed_by(&json!({"keys": []})));
    }
}
