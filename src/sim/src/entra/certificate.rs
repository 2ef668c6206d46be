//! Proof by certificate: an assertion that the application signed itself, checked against its registered certificates.

use super::{jwt::Assertion, token::Denied};
use crate::{
    clock::{Now, arm_time},
    world::{Principal, RegisteredCertificate},
};
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use rustls::{
    pki_types::{CertificateDer, pem::PemObject},
    server::ParsedCertificate,
};

/// How much the client's clock may be ahead, seconds.
const SKEW: i64 = 300;

impl RegisteredCertificate {
    /// The certificate itself.
    ///
    /// # Errors
    /// When `pem` holds none.
    pub fn der(&self) -> Result<CertificateDer<'static>, String> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).map_err(|e| format!("no PEM certificate: {e}"))
    }

    /// Its SHA-1 thumbprint in hex, as the portal shows it; empty when there is no certificate.
    pub fn thumbprint(&self) -> String {
        self.der().map(|der| hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &der).as_ref())).unwrap_or_default()
    }
}

/// True for an assertion that names its signer by a certificate, not by an issuer elsewhere.
pub fn is_by_certificate(principal: &Principal, assertion: &Assertion) -> bool {
    let header = |name: &str| assertion.header[name].is_string();
    header("x5t") || header("x5t#S256") || claim(assertion, "iss").eq_ignore_ascii_case(&principal.client_id)
}

/// Check an assertion; `endpoint` is this service's address with the tenant, such as `https://localhost:1/T`.
pub fn check(principal: &Principal, assertion: &Assertion, endpoint: &str, now: Now) -> Result<(), Denied> {
    let no = |number, text: String| Err(Denied(number, 401, "invalid_client", text));
    let client = &principal.client_id;
    for name in ["iss", "sub"] {
        if !claim(assertion, name).eq_ignore_ascii_case(client) {
            return no(700021, "Client assertion application identifier doesn't match 'client_id' parameter.".into());
        }
    }
    if claim(assertion, "jti").is_empty() {
        return no(50027, "JWT token is invalid or malformed: it has no claim 'jti'.".into());
    }
    let audiences = ["oauth2/v2.0/token", "oauth2/token", "v2.0"].map(|path| format!("{endpoint}/{path}"));
    if !audiences.iter().any(|audience| audience.eq_ignore_ascii_case(claim(assertion, "aud"))) {
        return no(
            700023,
            "Client assertion audience claim does not match Realm issuer. Review the documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials.".into(),
        );
    }
    let (used, found) = signer(principal, assertion);
    let invalid = |reason: &str, more: &str| {
        no(
            700027,
            format!(
                "Client assertion contains an invalid signature. [Reason - {reason}, Thumbprint of key used by client: '{used}', {more}]"
            ),
        )
    };
    let Some(certificate) = found else {
        return invalid(
            "The key was not found.",
            &format!(
                "Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '{client}'."
            ),
        );
    };
    let span = match certificate.end {
        Some(end) => format!("Found key 'End={}'", end.strftime("%m/%d/%Y %H:%M:%S")),
        None => "Found key".into(),
    };
    if certificate.end.is_some_and(|end| end <= now.real) {
        return invalid("The key used is expired.", &span);
    }
    let key =
        certificate.der().ok().and_then(|der| Some(ParsedCertificate::try_from(&der).ok()?.subject_public_key_info()));
    if !key.is_some_and(|key| assertion.signed_with(&key)) {
        return invalid("The provided signature value did not match the expected signature value.", &span);
    }
    let time = |name: &str| assertion.claims[name].as_i64();
    let second = now.real.as_second();
    if time("exp").is_none_or(|exp| exp <= second) || time("nbf").is_some_and(|nbf| nbf > second + SKEW) {
        return no(
            700024,
            format!(
                "Client assertion is not within its valid time range. Current time: {}, expiry time of assertion {}.",
                arm_time(now.real),
                assertion.claims["exp"]
            ),
        );
    }
    Ok(())
}

fn claim<'a>(assertion: &'a Assertion, name: &str) -> &'a str {
    assertion.claims[name].as_str().unwrap_or_default()
}

/// The thumbprint that the header names, in hex, and the registered certificate that has it.
fn signer<'a>(principal: &'a Principal, assertion: &Assertion) -> (String, Option<&'a RegisteredCertificate>) {
    let named =
        |name: &str, algorithm: &'static Algorithm| Some((decoded(assertion.header[name].as_str()?)?, algorithm));
    let Some((wanted, algorithm)) = named("x5t#S256", &SHA256).or_else(|| named("x5t", &SHA1_FOR_LEGACY_USE_ONLY))
    else {
        return (String::new(), None);
    };
    let has = |c: &&RegisteredCertificate| c.der().is_ok_and(|der| digest(algorithm, &der).as_ref() == wanted);
    (hex(&wanted), principal.certificates.iter().find(has))
}

/// A thumbprint's bytes. RFC 7515 wants base64url without padding; Microsoft's own library for Go writes plain base64.
fn decoded(thumbprint: &str) -> Option<Vec<u8>> {
    B64.decode(thumbprint.trim_end_matches('=').replace('+', "-").replace('/', "_")).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_in_either_alphabet_of_base64() {
        for (text, bytes) in [("-_-_AA", true), ("+/+/AA==", true), ("-_-_AA==", true), ("+/+/AA", true), ("?", false)]
        {
            let wanted = bytes.then(|| vec![0xfb, 0xff, 0xbf, 0x00]);
            assert_eq!(decoded(text), wanted, "{text}");
        }
    }
}
