//! A certificate authority of its own, made at the first start and kept beside the state.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};

/// Names that the serving certificate is good for, beside those asked for.
const NAMES: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// The authority's certificate and the server's certificate and key, as PEM.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// What clients trust.
    pub ca: String,
    names: Vec<String>,
    cert: String,
    key: String,
}

/// Read the identity at `path`, or make one (and keep it there) good for the usual names and `more`.
///
/// # Errors
/// What can't be made, read or written, and where.
pub fn identity(path: Option<&Path>, more: &[String]) -> Result<Identity, String> {
    let names: Vec<String> = NAMES.iter().map(|n| (*n).to_string()).chain(more.iter().cloned()).collect();
    if let Some(path) = path
        && let Ok(text) = std::fs::read_to_string(path)
    {
        let kept: Identity = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        if names.iter().all(|n| kept.names.contains(n)) {
            return Ok(kept);
        }
    }
    let made = make(names).map_err(|e| format!("cannot make a certificate: {e}"))?;
    if let Some(path) = path {
        let text = serde_json::to_vec(&made).map_err(|e| e.to_string())?;
        super::persist::replace_file(path, &text)?;
    }
    Ok(made)
}

fn make(names: Vec<String>) -> Result<Identity, rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, "azure-sim CA");
    (ca.not_before, ca.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1));
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names.clone())?;
    leaf.distinguished_name.push(DnType::CommonName, "azure-sim");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1));
    let cert = leaf.signed_by(&key, &issuer)?;
    Ok(Identity { ca: ca_cert.pem(), names, cert: cert.pem(), key: key.serialize_pem() })
}

impl Identity {
    /// The server's TLS settings: HTTP/1.1 only.
    ///
    /// # Errors
    /// When the kept certificate or key can't be read.
    pub fn server(&self) -> Result<Arc<ServerConfig>, String> {
        let cert = CertificateDer::from_pem_slice(self.cert.as_bytes()).map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|e| e.to_string())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .map_err(|e| e.to_string())?;
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_kept() {
        let dir = std::env::temp_dir().join(format!("azure-sim-tls-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("tls.json");
        let first = identity(Some(&path), &[]).unwrap();
        assert!(first.server().is_ok());
        assert_eq!(identity(Some(&path), &[]).unwrap().ca, first.ca, "kept");
        assert_ne!(identity(Some(&path), &["sim.local".into()]).unwrap().ca, first.ca, "a new name needs a new one");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
